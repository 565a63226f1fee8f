#include <fmt/format.h>

#include <algorithm>

#include "ecmigrate/base/text.hpp"
#include "ecmigrate/model/fixed_settings.hpp"
#include "mapping_sql.hpp"
#include "sync_bodies.hpp"

namespace ecmigrate {

namespace {

/// BEFORE triggers fire in byte order of their names; ours has to see what the others did.
std::string last_trigger_name(const Table& table, const std::string& suffix) {
  std::string last;
  for (const Trigger& trigger : table.triggers) {
    if (trigger.before_row && trigger.on_insert_or_update) {
      last = std::max(last, trigger.name);
    }
  }
  std::string usual = "zzz_ecmigrate" + suffix;
  if (usual > last) {
    return usual;
  }
  if (last.size() + 1 + suffix.size() <= k_max_identifier_bytes) {
    return last + "~" + suffix;
  }
  // U+10FFFF sorts behind every other character.
  return "\xF4\x8F\xBF\xBF"
         "ecmigrate" +
         suffix;
}

/// Behind no trigger of the application, if not for odd names.
std::string first_trigger_name(const Table& table, const std::string& suffix) {
  std::string first = "~";
  for (const Trigger& trigger : table.triggers) {
    if (trigger.before_row && trigger.on_insert_or_update) {
      first = std::min(first, trigger.name);
    }
  }
  const std::string usual = "aaa_ecmigrate" + suffix;
  return usual < first ? usual : " ecmigrate" + suffix;
}

/// A quoting tag that the body does not contain.
std::string dollar_tag(const std::string& body) {
  std::string tag = "$sync$";
  for (int i = 1; body.find(tag) != std::string::npos; ++i) {
    tag = fmt::format("$sync{}$", i);
  }
  return tag;
}

/// When the UPDATE trigger has anything to do; comparisons only, so that other statements call no function.
std::string update_condition(const TableDraft& draft) {
  std::vector<std::string> terms;
  for (const Mapping& mapping : draft.mappings) {
    if (mapping.news.empty()) {
      continue;
    }
    for (const std::string& term :
         {inputs_changed(draft, mapping), news_changed(mapping), "(" + unfilled(mapping, "old") + ")"}) {
      if (term != "false") {
        terms.push_back(term);
      }
    }
  }
  return join(terms, " or ");
}

/// Makes the triggers of one table: each on a function, which several may share.
class TriggerMaker {
 public:
  /// `settings`: the functions' SET clauses, or nothing.
  TriggerMaker(const Draft& plan, const Table& table, std::string settings)
      : m_table(table),
        m_settings(std::move(settings)),
        m_id(short_hash(plan.plan().name + '\0' + table.name.schema + '\0' + table.name.name)) {}

  /// `declarations` and `statements` are whole lines.
  QualifiedName add_function(const std::string& role, const std::string& declarations, const std::string& statements) {
    QualifiedName function = named(role);
    const std::string body = fmt::format("#variable_conflict use_column\n{}begin\n{}  return new;\nend\n",
                                         declarations.empty() ? declarations : "declare\n" + declarations, statements);
    const std::string tag = dollar_tag(body);
    // A function outlives a table that somebody drops, and its trigger.
    m_sql.create.push_back(fmt::format("create or replace function {}() returns trigger language plpgsql{} as {}\n{}{}",
                                       function.sql(), m_settings, tag, body, tag));
    m_drop_functions.push_back(fmt::format("drop function if exists {}()", function.sql()));
    return function;
  }

  UseNoter add_noter() {
    m_sql.last_write = named("last");
    const std::string name = m_sql.last_write.sql();
    m_drop_sequence = "drop sequence if exists " + name;
    m_sql.create.insert(m_sql.create.end(),
                        {m_drop_sequence, "create sequence " + name,
                         fmt::format("select pg_catalog.setval({}, {}, false)", quote_literal(name), UseNoter::k_now),
                         fmt::format("grant select, update on sequence {} to public", name)});
    return {m_sql.last_write, m_id};
  }

  /// `event`: "insert", "update", "update of a". `condition` may be empty.
  void add_trigger(const std::string& role, const std::string& event, const std::string& condition,
                   const QualifiedName& function, const std::string& argument = {}) {
    make_trigger(last_trigger_name(m_table, suffix_of(role)), event, condition, function, argument);
  }

  void add_first_trigger(const std::string& role, const std::string& event, const std::string& condition,
                         const QualifiedName& function) {
    make_trigger(first_trigger_name(m_table, suffix_of(role)), event, condition, function, "");
  }

  SyncTriggerSql finish() {
    std::ranges::move(m_drop_functions, std::back_inserter(m_sql.drop));
    if (!m_drop_sequence.empty()) {
      m_sql.drop.push_back(std::move(m_drop_sequence));
    }
    return std::move(m_sql);
  }

 private:
  void make_trigger(const std::string& name, const std::string& event, const std::string& condition,
                    const QualifiedName& function, const std::string& argument) {
    m_sql.trigger_names.push_back(name);
    m_sql.create.push_back(fmt::format("create trigger {} before {} on {} for each row {}execute function {}({})",
                                       quote_identifier(name), event, m_table.name.sql(),
                                       condition.empty() ? "" : fmt::format("when ({}) ", condition), function.sql(),
                                       argument.empty() ? "" : quote_literal(argument)));
    if (m_table.subscribed) {
      // A subscription's apply worker runs as a replica and would pass an ordinary trigger by.
      m_sql.create.push_back(
          fmt::format("alter table {} enable always trigger {}", m_table.name.sql(), quote_identifier(name)));
    }
    m_sql.drop.push_back(fmt::format("drop trigger if exists {} on {}", quote_identifier(name), m_table.name.sql()));
  }

  [[nodiscard]] QualifiedName named(const std::string& role) const {
    const std::string suffix = suffix_of(role);
    return {"ecmigrate", truncate_utf8("sync_" + m_table.name.name, k_max_identifier_bytes - suffix.size()) + suffix};
  }

  [[nodiscard]] std::string suffix_of(const std::string& role) const { return "_" + m_id + "_" + role; }

  const Table& m_table;
  std::string m_settings;
  std::string m_id;
  SyncTriggerSql m_sql;
  std::vector<std::string> m_drop_functions;
  std::string m_drop_sequence;
};

/// Settings change what some conversions give, so their function has them fixed, to what the runner's own sessions
/// have. Only there: it makes each call dearer (docs/benchmarks.md).
std::string fixed_settings(const TableDraft& draft) {
  const bool needed = std::ranges::any_of(draft.mappings, [](const Mapping& mapping) {
    return std::ranges::any_of(mapping.news, [](const NewColumn& column) { return column.up.depends_on_style; }) ||
           std::ranges::any_of(mapping.olds,
                               [](const OldColumn& old) { return old.down && old.down->depends_on_style; });
  });
  std::string settings;
  if (needed) {
    for (const auto& [name, value] : k_fixed_settings) {
      settings += fmt::format(" set {} = {}", name, quote_literal(value));
    }
  }
  return settings;
}

/// A statement that sets a part of N to null in a row that still waits changes nothing in the row. The server alone
/// knows which columns a statement names, and tells by which triggers fire. Only such statements call the function.
void note_nulls(TriggerMaker& maker, const TableDraft& draft) {
  std::optional<QualifiedName> function;
  int number = 0;
  for (const Mapping& mapping : draft.mappings) {
    for (const NewColumn& column : mapping.news) {
      if (!can_be_set_null(column)) {
        continue;
      }
      if (!function) {
        function = maker.add_function(
            "n", "",
            "  if pg_catalog.current_setting('ecmigrate.fill', true) is distinct from 'on' or "
            "pg_catalog.pg_trigger_depth() > 1 "
            "then\n"
            "    perform pg_catalog.set_config('ecmigrate.set_null', pg_catalog.concat(pg_catalog.current_setting("
            "'ecmigrate.set_null', true), tg_argv[0]), true);\n"
            "  end if;\n");
      }
      const std::string name = quote_identifier(column.name);
      // "n" sorts before "u": the update's trigger finds the note.
      maker.add_trigger(fmt::format("n{}", number++), "update of " + name,
                        fmt::format("new.{} is null and ({})", name, unfilled(mapping, "old")), *function,
                        set_null_note(draft, mapping, &column));
    }
  }
}

/// A column that goes without another in its place: the trigger for UPDATE has nothing to do with it.
void note_drops(TriggerMaker& maker, const TableDraft& draft, const UseNoter& noter) {
  int number = 0;
  for (const Mapping& mapping : draft.mappings) {
    if (mapping.news.empty() && notes_writes(mapping)) {
      const std::string role = fmt::format("w{}", number++);
      maker.add_trigger(role, "update of " + quote_identifier(mapping.olds.front().column->name), olds_changed(mapping),
                        maker.add_function(role, "", noter.statement(1, "true")));
    }
  }
}

/// Where the application has BEFORE triggers of its own: they see O of what the new version writes.
void sync_early(TriggerMaker& maker, const TableDraft& draft) {
  std::vector<std::string> inserts;
  std::vector<std::string> updates;
  for (const Mapping& mapping : draft.mappings) {
    if (can_be_early(mapping)) {
      inserts.push_back(early_insert_condition(mapping));
      updates.push_back("(" + early_update_condition(mapping) + ")");
    }
  }
  const auto fires_on = [&](bool Trigger::*event) {
    return !updates.empty() && std::ranges::any_of(draft.table->triggers, [&](const Trigger& trigger) {
      return trigger.before_row && trigger.*event;
    });
  };
  const std::string row = "  this alias for new;\n";
  if (fires_on(&Trigger::on_insert_or_update)) {
    maker.add_first_trigger("ei", "insert", join(inserts, " or "),
                            maker.add_function("ei", row, early_insert_body(draft)));
  }
  if (fires_on(&Trigger::on_update)) {
    maker.add_first_trigger("eu", "update", join(updates, " or "),
                            maker.add_function("eu", row, early_update_body(draft)));
  }
}

}  // namespace

SyncTriggerSql sync_trigger(const Draft& plan, const TableDraft& draft) {
  TriggerMaker maker(plan, *draft.table, fixed_settings(draft));
  const std::string row = "  this alias for new;\n";
  // A function for each event: to ask TG_OP would cost on every row. The backfill inserts nothing: what is inserted in
  // its transactions comes from the application's triggers.
  const std::optional<UseNoter> noter =
      std::ranges::any_of(draft.mappings, notes_writes) ? std::optional(maker.add_noter()) : std::nullopt;
  maker.add_trigger("i", "insert", "", maker.add_function("i", row, insert_body(draft, noter)));
  sync_early(maker, draft);
  if (const std::string condition = update_condition(draft); !condition.empty()) {
    note_nulls(maker, draft);
    const bool notes =
        std::ranges::any_of(draft.mappings, [](const Mapping& mapping) { return can_be_set_null(mapping); });
    maker.add_trigger(
        "u", "update", condition,
        maker.add_function("u", row + (notes ? "  ecmigrate_set_null text := '';\n" : ""), update_body(draft, noter)));
  }
  if (noter) {
    note_drops(maker, draft, *noter);
  }
  return maker.finish();
}

}  // namespace ecmigrate
