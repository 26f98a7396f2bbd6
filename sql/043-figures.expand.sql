-- Charts of the last 30 days: what was counted in each minute, and how it stood at its end (docs/adr/0065-figures.md). Filled from what
-- instances and routers measure, those of 1.4 too.
create table figure_minute (
  minute     timestamptz not null,               -- its beginning
  subject    text not null,                      -- 'domain', 'instance:' or 'router:' with its name
  connects   bigint,                             -- as instances saw them
  errors     bigint,
  requests   bigint,                             -- as routers saw them, of devices that had proven their identity
  failed     bigint,
  latency    bigint[],                           -- histogram of the others (src/base/latency-histogram.ts)
  waiting    integer,                            -- deliveries, at the end of the minute
  in_flight  integer,
  suspects   integer,
  budget     integer,                            -- how many may be in flight
  primary key (minute, subject)
);
