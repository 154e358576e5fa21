-- The books of an imaginary payments company. Runs once, in one transaction, as a superuser, in the new database.
-- Objects belong to ledger_owner; roles and memberships are made by ledger.py before this file runs.

SET LOCAL ROLE ledger_owner;

CREATE SCHEMA billing;
CREATE SCHEMA risk;
CREATE SCHEMA support;
CREATE SCHEMA audit;
CREATE SCHEMA ops;

-- Tables ----------------------------------------------------------------------------------------------------------

CREATE TABLE public.customers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    email text NOT NULL,
    iban text NOT NULL,
    country char(2) NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE public.accounts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES public.customers,
    currency char(3) NOT NULL,
    balance numeric(14, 2) NOT NULL DEFAULT 0
);
CREATE TABLE public.payments (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id bigint NOT NULL REFERENCES public.accounts,
    amount numeric(12, 2) NOT NULL CHECK (amount > 0),
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'captured', 'failed', 'refunded')),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE public.refunds (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payment_id bigint NOT NULL REFERENCES public.payments,
    amount numeric(12, 2) NOT NULL CHECK (amount > 0),
    reason text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE billing.invoices (
    number bigint PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES public.customers,
    total numeric(12, 2) NOT NULL,
    issued_on date NOT NULL,
    is_sent boolean NOT NULL DEFAULT false
);
CREATE SEQUENCE billing.invoice_number START 10001;
CREATE TABLE billing.payouts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id bigint NOT NULL REFERENCES public.accounts,
    amount numeric(12, 2) NOT NULL,
    paid_on date
);
CREATE TABLE billing.fx_rates (
    currency char(3) NOT NULL,
    quoted_on date NOT NULL,
    rate numeric(12, 6) NOT NULL,
    PRIMARY KEY (currency, quoted_on)
);
CREATE TABLE risk.disputes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payment_id bigint NOT NULL REFERENCES public.payments,
    opened_at timestamptz NOT NULL DEFAULT now(),
    outcome text
);
CREATE TABLE risk.scores (
    customer_id bigint PRIMARY KEY REFERENCES public.customers,
    score smallint NOT NULL CHECK (score BETWEEN 0 AND 100),
    scored_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE risk.kyc_documents (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES public.customers,
    kind text NOT NULL,
    passport_number text NOT NULL,
    checked_at timestamptz
);
CREATE TABLE support.tickets (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES public.customers,
    subject text NOT NULL,
    is_open boolean NOT NULL DEFAULT true
);
CREATE TABLE audit.events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    who text NOT NULL DEFAULT current_user,
    what text NOT NULL
);
CREATE TABLE ops.job_runs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job text NOT NULL,
    finished_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE ops.feature_flags (
    name text PRIMARY KEY,
    is_on boolean NOT NULL
);
CREATE VIEW billing.revenue_by_month AS
    SELECT date_trunc('month', issued_on) AS month, sum(total) AS revenue FROM billing.invoices GROUP BY 1;

-- Rows ------------------------------------------------------------------------------------------------------------

INSERT INTO public.customers (name, email, iban, country)
    SELECT 'Customer ' || n, 'customer' || n || '@example.com', 'XX' || lpad((n * 7919)::text, 18, '0'),
           (ARRAY['DE', 'FR', 'NL', 'PL', 'SE'])[1 + n % 5]
      FROM generate_series(1, 500) AS n;
INSERT INTO public.accounts (customer_id, currency, balance)
    SELECT n, (ARRAY['EUR', 'SEK', 'PLN'])[1 + n % 3], n * 13.37 FROM generate_series(1, 500) AS n;
INSERT INTO public.payments (account_id, amount, status, created_at)
    SELECT 1 + n % 500, 5 + n % 400, (ARRAY['captured', 'captured', 'pending', 'failed'])[1 + n % 4],
           now() - n * interval '11 minutes'
      FROM generate_series(1, 5000) AS n;
INSERT INTO public.refunds (payment_id, amount, reason)
    SELECT n * 16, 5, 'damaged in transit' FROM generate_series(1, 300) AS n;
INSERT INTO billing.invoices
    SELECT nextval('billing.invoice_number'), 1 + n % 500, 40 + n % 900, current_date - n % 360, n % 9 <> 0
      FROM generate_series(1, 1500) AS n;
INSERT INTO billing.payouts (account_id, amount, paid_on)
    SELECT 1 + n % 500, n % 700 + 1, current_date - n % 90 FROM generate_series(1, 400) AS n;
INSERT INTO billing.fx_rates
    SELECT c, current_date - d, 1 + d / 100.0 FROM unnest(ARRAY['SEK', 'PLN', 'USD']) AS c, generate_series(0, 60) AS d;
INSERT INTO risk.disputes (payment_id, outcome)
    SELECT n * 40, CASE WHEN n % 3 = 0 THEN 'won' END FROM generate_series(1, 100) AS n;
INSERT INTO risk.scores (customer_id, score) SELECT n, n * 37 % 101 FROM generate_series(1, 500) AS n;
INSERT INTO risk.kyc_documents (customer_id, kind, passport_number, checked_at)
    SELECT n, 'passport', 'P' || lpad((n * 104729 % 9999999)::text, 8, '0'), now() FROM generate_series(1, 500) AS n;
INSERT INTO support.tickets (customer_id, subject, is_open)
    SELECT 1 + n % 500, 'Where is payment ' || n || '?', n % 4 = 0 FROM generate_series(1, 250) AS n;
INSERT INTO audit.events (what) VALUES ('books opened');
INSERT INTO ops.feature_flags VALUES ('instant_payouts', false), ('new_checkout', true), ('dark_mode', true);

-- Functions -------------------------------------------------------------------------------------------------------

-- The only way to refund: runs as the owner, so the service needs nothing on the tables.
CREATE FUNCTION public.refund(payment bigint, why text) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        INSERT INTO public.refunds (payment_id, amount, reason)
        SELECT p.id, 1, why FROM public.payments p WHERE p.id = payment RETURNING id
    $$;
REVOKE EXECUTE ON FUNCTION public.refund(bigint, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.refund(bigint, text) TO refund_service;

-- A mistake that is easy to make: nobody took EXECUTE from PUBLIC, so every role may look up any IBAN.
CREATE FUNCTION public.iban_of(customer bigint) RETURNS text
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        SELECT c.iban FROM public.customers c WHERE c.id = customer
    $$;

-- Group roles -----------------------------------------------------------------------------------------------------
-- payments_admin is a payments_writer is a payments_reader.

GRANT USAGE ON SCHEMA public TO payments_reader, support_agents, risk_analysts, finance;
GRANT USAGE ON SCHEMA billing TO finance;
GRANT USAGE ON SCHEMA risk TO risk_analysts;
GRANT USAGE ON SCHEMA support TO support_agents;
GRANT SELECT ON public.accounts, public.payments, public.refunds TO payments_reader;
GRANT INSERT, UPDATE ON public.payments, public.accounts TO payments_writer;
GRANT DELETE, TRUNCATE ON public.payments, public.refunds TO payments_admin;
GRANT SELECT ON public.customers, public.payments, risk.scores, risk.disputes, risk.kyc_documents TO risk_analysts;
GRANT INSERT, UPDATE ON risk.scores, risk.disputes TO risk_analysts;
GRANT SELECT, INSERT, UPDATE ON support.tickets TO support_agents;
GRANT SELECT (id, name, email) ON public.customers TO support_agents;
GRANT SELECT ON billing.invoices, billing.payouts, billing.fx_rates, billing.revenue_by_month TO finance;

-- Service accounts ------------------------------------------------------------------------------------------------

-- Far too much: everything on two tables, on top of a membership, on top of a grant by somebody else (below).
GRANT ALL ON public.payments, public.refunds TO bi_reporting;
GRANT USAGE ON SCHEMA public, billing TO bi_reporting;
GRANT SELECT ON billing.invoices TO bi_reporting;

GRANT USAGE ON SCHEMA public, billing, ops TO etl_nightly;
GRANT SELECT ON public.customers, public.accounts, billing.invoices, billing.payouts TO etl_nightly;
GRANT INSERT ON ops.job_runs TO etl_nightly, backup_job, fx_rates_loader, payout_runner;
GRANT USAGE ON SCHEMA ops TO backup_job, fx_rates_loader, payout_runner, metrics_exporter;
GRANT SELECT ON ops.job_runs TO metrics_exporter;
GRANT USAGE ON SCHEMA billing TO fx_rates_loader, payout_runner, invoice_mailer, tax_report_export, bi_dashboard;
GRANT SELECT, INSERT, UPDATE, DELETE ON billing.fx_rates TO fx_rates_loader;
GRANT SELECT, INSERT, UPDATE ON billing.payouts TO payout_runner;
GRANT SELECT (id, currency, balance), UPDATE (balance) ON public.accounts TO payout_runner;
GRANT USAGE ON SCHEMA public TO payout_runner, invoice_mailer, support_bot, mobile_gateway, webhook_sender, partner_portal,
    legacy_export_2019, kyc_checker, ledger_api, sandbox_tester;
GRANT SELECT, INSERT, UPDATE ON billing.invoices TO invoice_mailer;
GRANT USAGE ON SEQUENCE billing.invoice_number TO invoice_mailer;
GRANT SELECT (id, name, email) ON public.customers TO invoice_mailer, support_bot;
GRANT USAGE ON SCHEMA support TO support_bot;
GRANT SELECT, INSERT, UPDATE, DELETE ON support.tickets TO support_bot;
GRANT SELECT ON billing.revenue_by_month TO bi_dashboard;
GRANT SELECT ON billing.invoices, billing.fx_rates TO tax_report_export;
GRANT SELECT, INSERT ON public.payments TO mobile_gateway;
GRANT SELECT ON public.accounts TO mobile_gateway;
GRANT SELECT (id, status) ON public.payments TO webhook_sender, partner_portal;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO legacy_export_2019;
GRANT USAGE ON SCHEMA risk TO kyc_checker, legacy_export_2019;
GRANT SELECT, INSERT, UPDATE ON risk.kyc_documents TO kyc_checker;
GRANT SELECT ON risk.kyc_documents TO legacy_export_2019;
GRANT SELECT, INSERT, UPDATE, DELETE ON public.customers, public.accounts, public.payments TO ledger_api;
GRANT USAGE ON SCHEMA audit TO audit_reader, ledger_api;
GRANT SELECT ON audit.events TO audit_reader;
GRANT INSERT ON audit.events TO ledger_api;
GRANT ALL ON ALL TABLES IN SCHEMA public TO sandbox_tester;

-- finance_ops may pass its right on, and did.
GRANT USAGE ON SCHEMA billing TO finance_ops;
GRANT SELECT, UPDATE ON billing.invoices TO finance_ops WITH GRANT OPTION;

-- Everybody may switch features: a mistake that nobody noticed.
GRANT USAGE ON SCHEMA ops TO PUBLIC;
GRANT SELECT, UPDATE ON ops.feature_flags TO PUBLIC;

-- Tables of the future.
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO bi_reporting;
ALTER DEFAULT PRIVILEGES IN SCHEMA billing GRANT SELECT ON TABLES TO etl_nightly, finance;

SET LOCAL ROLE finance_ops;
GRANT SELECT ON billing.invoices TO bi_reporting;
RESET ROLE;
