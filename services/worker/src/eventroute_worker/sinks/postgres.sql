-- The table of `postgres` sinks. EventRoute makes no tables: run this as their owner, under another name if you like,
-- and let the user of the sink's URL write to it:
--   GRANT SELECT, INSERT, UPDATE ON eventroute_answers TO eventroute;
-- Columns and indexes of your own may be added; columns that no default fills have to be nullable.
CREATE TABLE eventroute_answers (
  idempotency_key text PRIMARY KEY,      -- <delivery>:<sink>; the same however often an answer is sent
  delivery        text NOT NULL,
  route           text NOT NULL,         -- <namespace>/<name>
  provider        text NOT NULL,
  event           text NOT NULL,         -- pull_request.opened
  provider_id     text NOT NULL,         -- what the provider calls the event
  received_at     timestamptz NOT NULL,
  answered_at     timestamptz NOT NULL,
  outcome         text NOT NULL,         -- succeeded, truncated, refused, no_text
  reason          text NOT NULL,         -- of a refusal its category, of no_text why; else empty
  model           text NOT NULL,         -- the one that answered
  text            text NOT NULL,         -- of the answer
  message         text,                  -- what the sink's template makes of it, where it has one
  value           jsonb,                 -- the answer as data, of a prompt with a schema
  usage           jsonb NOT NULL,        -- tokens by kind
  cost_usd        numeric,               -- NULL where a model's price is not known
  hops            integer NOT NULL,      -- how many answers stand behind this one, itself included
  marker          text NOT NULL,         -- to be written wherever the provider could send the answer back
  trace_id        text NOT NULL          -- 32 hexadecimal digits; empty without a trace
);
