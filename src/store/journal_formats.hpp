#pragma once

#include <array>
#include <string_view>

namespace ecmigrate {

/// The formats of the journal, in the order in which they came. Each is the SQL that makes it from the one before, so
/// that a new journal and an upgraded one are the same. Only ever add: an older program may be at work in the same
/// journal, and what it writes and reads has to stay.
///
/// Format 1 has no table `journal`; from 2 on that says which format it is.
inline constexpr std::array<std::string_view, 4> k_journal_formats{
    // 1: migrations and their states, runs, steps, locks, walks, verifications; events and progress as JSON
    R"(
create table if not exists ecmigrate.migrations (
  name text primary key, state text not null, plan text not null, plan_hash text not null, recipe jsonb not null,
  recipe_format integer not null, version text not null,
  started_at timestamptz not null default clock_timestamp(), changed_at timestamptz not null default clock_timestamp());
create table if not exists ecmigrate.runs (
  id bigint generated always as identity primary key, migration text not null, command text not null, host text not null,
  process integer not null, backend integer not null, started_at timestamptz not null default clock_timestamp(),
  seen_at timestamptz, finished_at timestamptz, outcome text, message text);
create table if not exists ecmigrate.steps (
  migration text not null, phase text not null, step text not null, done boolean not null,
  at timestamptz not null default clock_timestamp(), primary key (migration, phase, step));
create table if not exists ecmigrate.locks (
  id bigint generated always as identity primary key, migration text not null, run bigint not null, phase text not null,
  step text not null, relation text not null, mode text not null, tries integer not null, waited_ms double precision not null,
  held_ms double precision not null, blocked_sessions integer not null, blocked_longest_ms double precision not null,
  at timestamptz not null default clock_timestamp());
create table if not exists ecmigrate.walks (
  migration text not null, relation text not null, run bigint not null, round integer not null, filenode bigint not null, pages bigint not null,
  next_page bigint not null default 0, finished boolean not null default false, again boolean not null default false,
  primary key (migration, relation));
create table if not exists ecmigrate.windows (
  migration text not null, relation text not null, round integer not null, run bigint not null, filenode bigint not null,
  first_page bigint not null, end_page bigint not null, passes integer not null, shrink double precision not null,
  pass integer not null default 0, page bigint not null, sweeping boolean not null default false, skipped boolean not null default false,
  done boolean not null default false, rows bigint not null default 0, hot_rows bigint not null default 0, batches bigint not null default 0,
  wal_bytes double precision not null default 0, opened_at timestamptz not null default clock_timestamp(),
  changed_at timestamptz not null default clock_timestamp(), primary key (migration, relation, round, first_page));
create table if not exists ecmigrate.bad_rows (
  id bigint generated always as identity primary key, migration text not null, relation text not null, ctid_of_row text not null,
  key text not null, sqlstate text not null, error text not null, at timestamptz not null default clock_timestamp());
create table if not exists ecmigrate.progress (
  id bigint generated always as identity primary key, migration text not null, run bigint not null, at timestamptz not null default clock_timestamp(),
  data json not null);
create table if not exists ecmigrate.verifications (
  id bigint generated always as identity primary key, migration text not null, run bigint not null, relation text not null,
  rows bigint not null, pending bigint not null, inconsistent bigint not null, repaired bigint not null,
  duration_ms double precision not null, at timestamptz not null default clock_timestamp());
create table if not exists ecmigrate.events (
  id bigint generated always as identity primary key, migration text not null, run bigint not null,
  at timestamptz not null default clock_timestamp(), data jsonb not null);
create table if not exists ecmigrate.steering (
  migration text primary key, paused boolean not null default false, paused_by text, throttle double precision not null default 0,
  throttle_until timestamptz, throttled_by text, limits jsonb not null default '{}', at timestamptz not null default clock_timestamp());
create index if not exists events_migration on ecmigrate.events (migration, id);
create index if not exists progress_migration on ecmigrate.progress (migration, id);
)",
    // 2: what was told is kept in columns, too; what a run was given and ended with; columns as they were; tries at
    // locks; comparisons
    R"(
create table ecmigrate.journal (format integer not null, program text not null, at timestamptz not null default clock_timestamp());
insert into ecmigrate.journal (format, program) values (2, '');
alter table ecmigrate.migrations add column description text, add column plan_file text, add column columns jsonb;
alter table ecmigrate.runs add column username text, add column plan_file text, add column target text, add column limits jsonb, add column hint text, add column next text;
alter table ecmigrate.runs alter column username set default current_user;
alter table ecmigrate.events add column type text generated always as (data->>'type') stored;
alter table ecmigrate.progress
  add column phase text generated always as (data->>'phase') stored,
  add column relation text generated always as (data->>'relation') stored,
  add column percent double precision generated always as ((data->>'percent')::double precision) stored,
  add column rows bigint generated always as ((data->>'rows')::bigint) stored,
  add column rows_estimated bigint generated always as ((data->>'rows_estimated')::bigint) stored,
  add column rows_per_second double precision generated always as ((data->>'rows_per_second')::double precision) stored,
  add column batch_p50_ms double precision generated always as ((data->>'batch_p50_ms')::double precision) stored,
  add column batch_p99_ms double precision generated always as ((data->>'batch_p99_ms')::double precision) stored,
  add column lag_ms double precision generated always as ((data->>'lag_ms')::double precision) stored,
  add column paused boolean generated always as ((data->>'paused')::boolean) stored,
  add column reasons json generated always as (data->'reasons') stored;
create table ecmigrate.lock_tries (
  id bigint generated always as identity primary key, migration text not null, run bigint not null, phase text not null, step text not null,
  relation text not null, mode text not null, try integer not null, waited_ms double precision not null, retry_in_ms double precision not null,
  blockers jsonb not null, at timestamptz not null default clock_timestamp());
create table ecmigrate.comparisons (
  id bigint generated always as identity primary key, migration text not null, rows bigint not null, server text not null, data jsonb not null,
  at timestamptz not null default clock_timestamp());
create index runs_migration on ecmigrate.runs (migration, id);
create index locks_migration on ecmigrate.locks (migration, id);
create index progress_phase on ecmigrate.progress (migration, phase, id);
create index lock_tries_migration on ecmigrate.lock_tries (migration, id);
create index verifications_migration on ecmigrate.verifications (migration, id);
)",
    // 3: what somebody else may change between the phases: the tables as they were, the sync triggers, partitions by
    // oid
    R"(
alter table ecmigrate.migrations add column tables jsonb, add column trigger_marks jsonb;
alter table ecmigrate.walks add column oid bigint;
)",
    // 4: sync triggers count in sequences of this schema, with the rights of whoever writes the table
    R"(
grant usage on schema ecmigrate to public;
)"};

}  // namespace ecmigrate
