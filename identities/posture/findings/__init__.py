"""Findings: what rules say is wrong, from the reading that shows it to the reading that shows it gone.

`recording` takes what the rules say, `acting` lets people assign findings and make exceptions (`wishes` are what they
may want, `standing` who may), `settling` ends what time alone ends, `meanings` says what each rule means and which act
fixes it.
"""
