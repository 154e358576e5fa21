"""Tools of well-known MCP servers whose names mislead: what they do is looked up here before their words are read.

Data, by tool name, because a server's name is whatever somebody's configuration calls it. A name that two servers use
for different things gets the classes of both. Raise `CATALOGUE_VERSION` with every change.
"""

from collections.abc import Mapping

_BY_CLASSES: Mapping[str, str] = {
    # nothing but looking
    "read": """
        open_nodes read_graph search_nodes sequentialthinking echo directory_tree list_allowed_directories
        browser_snapshot browser_take_screenshot browser_console_messages browser_hover browser_wait_for browser_tabs
        browser_resize browser_close puppeteer_screenshot puppeteer_hover slack_get_users slack_get_user_profile
        slack_list_channels slack_get_channel_history slack_get_thread_replies read_email search_emails
        list_email_labels get_me get_team_members search_users list_tables describe_table read_query resolve-library-id
        get_current_time convert_time
    """,
    "write": """
        create_directory create_entities create_relations add_observations draft_email modify_email create_branch
        create_view browser_handle_dialog append_insight
    """,
    "read external_send": """
        fetch brave_web_search brave_local_search tavily-search tavily-extract web_search browser_navigate
        browser_navigate_back browser_navigate_forward puppeteer_navigate query-docs get-library-docs sampleLLM
        firecrawl_scrape firecrawl_search firecrawl_crawl
    """,
    "write external_send": """
        browser_click browser_type browser_fill_form browser_select_option browser_drag browser_press_key
        browser_file_upload puppeteer_click puppeteer_fill puppeteer_select create_issue update_issue add_issue_comment
        create_pull_request create_pull_request_review update_pull_request create_or_update_file fork_repository
        request_copilot_review slack_post_message slack_reply_to_thread slack_add_reaction create_repository
    """,
    "destructive external_send": """
        push_files git_push browser_evaluate browser_run_code browser_install puppeteer_evaluate merge_pull_request
        deploy_edge_function
    """,
    # whatever statement the agent writes
    "read write destructive": """
        query execute_sql run_sql write_query apply_migration execute_query run_query
    """,
    "read write destructive external_send": """
        execute_command run_command run_terminal_cmd run_in_terminal bash shell exec_in_pod kubectl_generic
    """,
    "read secret_read": """
        get-env printEnv print_env get_anon_key get_publishable_keys browser_network_requests browser_cookie_list
        get_secret list_secrets
    """,
}

KNOWN_TOOLS: Mapping[str, frozenset[str]] = {
    name: frozenset(classes.split()) for classes, names in _BY_CLASSES.items() for name in names.split()
}
"""Privilege classes by tool name."""
