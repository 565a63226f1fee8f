#include "ecmigrate/store/sync_triggers.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "ecmigrate/base/quote.hpp"
#include "ecmigrate/base/text.hpp"

namespace ecmigrate {

namespace {

/// A row for each trigger that should be there: relation, trigger's name, its key in the marks, its mark, its state.
/// A partition has triggers of its own, each of which can be off. xmin is another one after every change of the row.
std::string wanted_sql(const SyncTrigger& trigger) {
  std::vector<std::string> names;
  for (const std::string& name : trigger.names) {
    names.push_back(quote_literal(name));
  }
  return fmt::format(
      "select pg_catalog.regexp_replace(r.oid::pg_catalog.regclass::text, '^public\\.', '') as relation, n.name, "
      "r.oid::text || ' ' || n.name as key, "
      "pg_catalog.format('%s %s %s %s', t.oid, t.xmin, p.oid, p.xmin) as mark, t.tgenabled as enabled "
      "from (select {0}::pg_catalog.regclass::pg_catalog.oid as oid union select relid::pg_catalog.oid from "
      "pg_catalog.pg_partition_tree({0}::pg_catalog.regclass)) r "
      "cross join pg_catalog.unnest(array[{1}]::text[]) n(name) "
      "left join pg_catalog.pg_trigger t on t.tgrelid = r.oid and t.tgname = n.name "
      "left join pg_catalog.pg_proc p on p.oid = t.tgfoid",
      quote_literal(trigger.table.sql()), join(names, ", "));
}

std::string is_broken() {
  return "(w.enabled is null or w.enabled not in ('O', 'A'))";
}
/// A partition that came after the marks has none; it is looked at as one that was never walked.
std::string is_changed(const std::string& marks) {
  return fmt::format("coalesce({}::jsonb ->> w.key <> w.mark, false)", quote_literal(marks.empty() ? "{}" : marks));
}

}  // namespace

std::string trigger_marks(pg::Connection& connection, const std::vector<SyncTrigger>& triggers) {
  nlohmann::json marks = nlohmann::json::object();
  for (const SyncTrigger& trigger : triggers) {
    const pg::Rows rows = connection.query(
        fmt::format("select w.key, w.mark from ({}) w where w.enabled is not null", wanted_sql(trigger)));
    for (int row = 0; row < rows.size(); ++row) {
      marks[rows.text(row, 0)] = rows.text(row, 1);
    }
  }
  return marks.dump();
}

TriggerFaults find_trigger_faults(pg::Connection& connection, const std::vector<SyncTrigger>& triggers,
                                  const std::string& marks) {
  TriggerFaults faults;
  for (const SyncTrigger& trigger : triggers) {
    const pg::Rows rows = connection.query(fmt::format(
        "select w.relation, w.name, w.enabled is null, {0}, {1} from ({2}) w where {0} or {1} order by 1, 2",
        is_broken(), is_changed(marks), wanted_sql(trigger)));
    for (int row = 0; row < rows.size(); ++row) {
      const std::string what = fmt::format("{} on {}", rows.text(row, 1), rows.text(row, 0));
      if (rows.boolean(row, 3)) {
        faults.broken.push_back(what + (rows.boolean(row, 2) ? " is missing" : " is disabled"));
      } else {
        faults.changed.push_back(what + " was switched off, replaced or made again");
      }
    }
  }
  return faults;
}

std::string trigger_guard_sql(const SyncTrigger& trigger, const std::string& marks, const std::string& hint) {
  return fmt::format(
      "do $guard$ begin if exists (select from ({}) w where {} or {}) then raise exception using message = {}, hint = "
      "{}; end if; end $guard$",
      wanted_sql(trigger), is_broken(), is_changed(marks),
      quote_literal(
          fmt::format("the sync trigger of {} is missing, disabled, or was made again", trigger.table.display())),
      quote_literal(hint));
}

}  // namespace ecmigrate
