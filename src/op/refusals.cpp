#include "refusals.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ecmigrate/base/text.hpp"
#include "ecmigrate/op/row_readers.hpp"

namespace ecmigrate {

namespace {

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

/// An old column that the application's next version does not write, and what it writes in its place.
struct Leaving {
  std::string column;
  std::string instead;  ///< empty where the column just goes
};

/// A type that changes under the same name is no change to those who write it.
std::vector<Leaving> leaving_columns(const TableDraft& table) {
  std::vector<Leaving> leaving;
  for (const Mapping& mapping : table.mappings) {
    std::vector<std::string> news;
    for (const NewColumn& column : mapping.news) {
      news.push_back(column.name);
    }
    for (const OldColumn& old : mapping.olds) {
      if (!old.down || old.down->renamed.empty()) {
        leaving.push_back({old.column->name, join(news, ", ")});
      }
    }
  }
  for (const ColumnDrop& drop : table.drops) {
    const bool known = std::ranges::any_of(table.mappings, [&](const Mapping& mapping) {
      return std::ranges::any_of(mapping.olds, [&](const OldColumn& old) { return old.column->name == drop.column; });
    });
    if (!known && !drop.type_change && table.table->find_column(drop.column) != nullptr) {
      leaving.push_back({drop.column, ""});
    }
  }
  return leaving;
}

void refuse_partition_keys(Draft& draft, const TableDraft& table) {
  std::vector<std::pair<std::string, Location>> changed;
  for (const Mapping& mapping : table.mappings) {
    for (const OldColumn& old : mapping.olds) {
      changed.emplace_back(old.column->name, old.down ? old.down->at : Location{});
    }
  }
  for (const ColumnDrop& drop : table.drops) {
    if (std::ranges::find(changed, drop.column, &std::pair<std::string, Location>::first) == changed.end()) {
      changed.emplace_back(drop.column, Location{});
    }
  }
  for (const auto& [name, at] : changed) {
    if (has(table.table->partition_key, name)) {
      draft.refuse(
          at, fmt::format("\"{}\" is in a partition key of {}", name, table.table->name.display()),
          "The server looks for a row's partition before any trigger has filled the column. Copy the rows into "
          "a table that is partitioned anew.");
    }
  }
}

void refuse_index_places(Draft& draft, const TableDraft& table) {
  if (table.indexes.empty()) {
    return;
  }
  const Table& facts = *table.table;
  if (facts.partitioned) {
    draft.refuse(
        {},
        fmt::format("{} is partitioned: no unique index can be built there beside the traffic", facts.name.display()),
        "Build an index on each partition and then on the parent, with `sql`.");
  }
  if (!facts.may_create_beside) {
    draft.refuse({},
                 fmt::format("the role has no CREATE on schema \"{}\", which an index of {} needs", facts.name.schema,
                             facts.name.display()),
                 fmt::format("GRANT CREATE ON SCHEMA {} to the role.", quote_identifier(facts.name.schema)));
  }
  for (const IndexBuild& build : table.indexes) {
    const auto original = std::ranges::find_if(facts.indexes, [&](const Index& index) {
      return !build.tablespace.empty() && index.tablespace == build.tablespace && !index.tablespace_allowed;
    });
    if (original != facts.indexes.end()) {
      draft.refuse({},
                   fmt::format("the role may not create in tablespace \"{}\", where index \"{}\" is", build.tablespace,
                               original->name),
                   fmt::format("GRANT CREATE ON TABLESPACE {} to the role.", quote_identifier(build.tablespace)));
    }
  }
}

void refuse_updates(Draft& draft, const TableDraft& table) {
  if (std::ranges::none_of(table.mappings, [](const Mapping& mapping) { return !mapping.news.empty(); })) {
    return;
  }
  for (const Rule& rule : table.table->rules) {
    const std::string named = fmt::format("rule {} on {}", rule.name, table.table->name.display());
    if (rule.on_update && rule.instead) {
      draft.refuse({}, fmt::format("{} does something else instead of an UPDATE, the backfill's too", named),
                   "Drop it, or let a BEFORE trigger do its work.");
    } else if (rule.on_update) {
      draft.warn(
          fmt::format("{} fires for the backfill's updates, once for each row, where the role may not set "
                      "session_replication_role",
                      named));
    }
  }
  if (table.table->updates_refused) {
    draft.refuse({},
                 fmt::format("{} is published and has no replica identity: the server refuses every UPDATE of it, "
                             "the backfill's too",
                             table.table->name.display()),
                 "Give it a primary key, or ALTER TABLE … REPLICA IDENTITY.");
  }
}

/// The same trigger of a partitioned table stands on every partition, too.
std::string named(const TableDraft& table, const Trigger& trigger) {
  return fmt::format("trigger {} on {}", trigger.name, table.table->name.display());
}

/// The backfill writes with session_replication_role = replica where it may, so that triggers stay silent.
void look_at_backfill(Draft& draft, const TableDraft& table, const Trigger& trigger) {
  if (trigger.on_update && trigger.fires_as_replica) {
    draft.warn(
        fmt::format("{} is ENABLE ALWAYS or REPLICA: it fires for the backfill's updates, too, once for each row",
                    named(table, trigger)));
  }
}

void look_at_row_copies(Draft& draft, const TableDraft& table, const Trigger& trigger) {
  const CopiesRows copies = copies_rows(trigger);
  if (copies == CopiesRows::yes) {
    draft.refuse({},
                 fmt::format("{} inserts whole rows (old.*, new.*) into another table: with the columns that expand "
                             "adds every such statement would fail, the old application's too",
                             named(table, trigger)),
                 "Let its function name the columns: insert into … (a, b) values (old.a, old.b).");
  } else if (copies == CopiesRows::perhaps) {
    draft.warn(
        fmt::format("{} seems to copy whole rows into another table, which fails when expand has added columns: "
                    "look at its function",
                    named(table, trigger)));
  }
}

void look_at_update_of(Draft& draft, const TableDraft& table, const Trigger& trigger,
                       const std::vector<Leaving>& leaving) {
  for (const auto& [column, instead] : leaving) {
    if (!instead.empty() && has(trigger.update_of, column)) {
      draft.warn(
          fmt::format("{} fires for UPDATE OF {}, and so not for an application that writes {} instead: add {} to "
                      "its columns after expand",
                      named(table, trigger), column, instead, instead));
    }
  }
}

void look_at_reads(Draft& draft, const TableDraft& table, const Trigger& trigger, const std::vector<Leaving>& leaving) {
  for (const auto& [column, instead] : leaving) {
    const bool reads = reads_new_column(trigger, column);
    const bool in_when = has(trigger.watched, column) && !has(trigger.update_of, column);
    const bool before = trigger.before_row && trigger.on_insert_or_update;
    // Of a column with another in its place the first sync trigger has made the value.
    if (before && (reads || in_when) && instead.empty()) {
      draft.warn(
          fmt::format("{} reads \"{}\" before the sync trigger has filled it: where the new application writes without "
                      "it, it sees the old value, or null at INSERT; after contract that name is gone",
                      named(table, trigger), column));
    } else if (reads || (before && in_when)) {
      draft.warn(
          fmt::format("{} reads \"{}\", which is not there after contract: its function would fail for every row",
                      named(table, trigger), column));
    } else if (before && hands_on_new_row(trigger)) {
      draft.warn(
          fmt::format("{} hands the whole row on, which has no \"{}\" after contract", named(table, trigger), column));
    }
  }
}

void look_at_rules_and_functions(Draft& draft, const TableDraft& table, const std::vector<Leaving>& leaving) {
  for (const Rule& rule : table.table->rules) {
    for (const auto& [column, instead] : leaving) {
      if (has(rule.columns, column)) {
        draft.warn(
            fmt::format("rule {} on {} reads \"{}\" as the statement gives it, which no trigger has filled: it does "
                        "not see what the new application writes",
                        rule.name, table.table->name.display(), column));
      }
    }
  }
  if (table.new_names.empty()) {
    return;
  }
  for (const Function& function : table.table->functions) {
    if (takes_whole_rows(function.source, table.table->name.name)) {
      draft.warn(
          fmt::format("function {} takes whole rows of {} (`*`), which have more columns after expand: where it "
                      "counts on a number of them it fails",
                      function.signature, table.table->name.display()));
    }
  }
}

}  // namespace

void look_around(Draft& draft, const TableDraft& table) {
  refuse_partition_keys(draft, table);
  refuse_index_places(draft, table);
  refuse_updates(draft, table);
  const std::vector<Leaving> leaving = leaving_columns(table);
  std::vector<std::string> seen;
  for (const Trigger& trigger : table.table->triggers) {
    if (has(seen, trigger.name)) {
      continue;
    }
    seen.push_back(trigger.name);
    if (!table.new_names.empty()) {
      look_at_row_copies(draft, table, trigger);
      look_at_backfill(draft, table, trigger);
    }
    look_at_update_of(draft, table, trigger, leaving);
    look_at_reads(draft, table, trigger, leaving);
  }
  look_at_rules_and_functions(draft, table, leaving);
}

}  // namespace ecmigrate
