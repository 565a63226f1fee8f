#include <fmt/format.h>

#include <algorithm>

#include "ecmigrate/base/text.hpp"
#include "mapping_sql.hpp"

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
  const std::string usual = "zzz_ecmigrate" + suffix;
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

class FunctionBody {
 public:
  explicit FunctionBody(const TableDraft& draft)
      : m_draft(draft),
        m_alone(std::ranges::count_if(draft.mappings, [](const Mapping& mapping) { return !mapping.news.empty(); }) ==
                1) {}

  [[nodiscard]] std::string insert_part() {
    for (const Mapping& mapping : m_draft.mappings) {
      insert_mapping(mapping);
    }
    return std::move(m_text);
  }

  [[nodiscard]] std::string update_part() {
    // Not in WHEN: the server parses its tree anew for every statement, this once a session.
    line(1, "if pg_catalog.current_setting('ecmigrate.fill', true) = 'on' then");
    line(2, "return new;");
    line(1, "end if;");
    for (const Mapping& mapping : m_draft.mappings) {
      if (mapping.news.empty()) {
        continue;
      }
      if (mapping.olds.empty()) {
        update_follower(mapping);
      } else {
        update_mapping(mapping);
      }
      set_marker(mapping);
    }
    return std::move(m_text);
  }

 private:
  void line(int depth, const std::string& text) {
    m_text += std::string(static_cast<std::size_t>(depth) * 2, ' ') + text + "\n";
  }

  void fill_news(int depth, const Mapping& mapping) {
    for (const NewColumn& column : mapping.news) {
      line(depth, fmt::format("new.{} := {};", quote_identifier(column.name), column.up.sql));
    }
  }

  void fill_olds(int depth, const Mapping& mapping) {
    for (const OldColumn& old : mapping.olds) {
      line(depth, fmt::format("new.{} := {};", quote_identifier(old.column->name), old.down->sql));
    }
  }

  void set_marker(const Mapping& mapping) {
    if (mapping.marker) {
      line(1, fmt::format("new.{} := true;", quote_identifier(*mapping.marker)));
    }
  }

  static std::string news_null(const Mapping& mapping) {
    std::vector<std::string> terms;
    for (const NewColumn& column : mapping.news) {
      terms.push_back(fmt::format("new.{} is null", quote_identifier(column.name)));
    }
    return join(terms, " and ");
  }

  static std::string olds_null(const Mapping& mapping) {
    std::vector<std::string> terms;
    for (const OldColumn& old : mapping.olds) {
      terms.push_back(fmt::format("new.{} is null", quote_identifier(old.column->name)));
    }
    return join(terms, " and ");
  }

  /// N := default, O := down(N), where nothing was given at all.
  void insert_defaults(const Mapping& mapping) {
    if (std::ranges::none_of(mapping.news,
                             [](const NewColumn& column) { return column.default_sql && !column.default_is_old; })) {
      return;
    }
    line(2, fmt::format("if {}{} then", news_null(mapping), mapping.olds.empty() ? "" : " and " + olds_null(mapping)));
    for (const NewColumn& column : mapping.news) {
      if (column.default_sql && !column.default_is_old) {
        line(3, fmt::format("new.{} := {};", quote_identifier(column.name), *column.default_sql));
      }
    }
    fill_olds(3, mapping);
    line(2, "end if;");
  }

  void insert_mapping(const Mapping& mapping) {
    if (mapping.news.empty()) {  // a column on its way out, kept filled for those who still read it
      line(1, fmt::format("if {} then", olds_null(mapping)));
      fill_olds(2, mapping);
      line(1, "end if;");
      return;
    }
    // A marker that is set comes with a row that moves between partitions: its nulls are the new application's.
    line(1, fmt::format("if {} then", mapping.marker
                                          ? fmt::format("{} and {}", unfilled(mapping, "new"), news_null(mapping))
                                          : news_null(mapping)));
    fill_news(2, mapping);
    insert_defaults(mapping);
    if (!mapping.olds.empty()) {
      // Unset first: `down` of a row without O need not be asked.
      line(1, fmt::format("elsif ({}) or not {} then", olds_null(mapping), consistent(mapping)));
      fill_olds(2, mapping);
    }
    line(1, "end if;");
    set_marker(mapping);
  }

  /// `up` without `down`: the value follows what it was made from until somebody writes it.
  void update_follower(const Mapping& mapping) {
    const NewColumn& column = mapping.news.front();
    const std::string name = quote_identifier(column.name);
    line(1, fmt::format("if not ({}) then", news_changed(mapping)));
    line(2, fmt::format("if {} then", unfilled(mapping, "old")));
    fill_news(3, mapping);
    if (column.up.repeatable && olds_changed(m_draft, mapping) != "false") {
      line(2, fmt::format("elsif {} then", olds_changed(m_draft, mapping)));
      line(3, "declare");
      line(4, "follows boolean;");
      line(3, "begin");
      line(4, "declare");
      line(5, "this alias for old;");
      line(4, "begin");
      line(5, fmt::format("follows := not ({});",
                          differs("old." + name, fmt::format("({})::{}", column.up.sql, column.type),
                                  column.equality_is_identity)));
      line(4, "end;");
      line(4, "if follows then");
      fill_news(5, mapping);
      line(4, "end if;");
      line(3, "end;");
    }
    line(2, "end if;");
    line(1, "end if;");
  }

  /// The parts of N that the statement did not set get `up` of the row as it was.
  void complete_news(const Mapping& mapping) {
    line(3, "declare");
    line(4, "this record := old;");  // not of the table's type: a partition's columns may stand in another order
    line(3, "begin");
    for (const NewColumn& column : mapping.news) {
      const std::string name = quote_identifier(column.name);
      line(4, fmt::format("this.{} := {};", name, column.up.sql));
      line(4, fmt::format("if not ({}) then", differs("new." + name, "old." + name, column.equality_is_identity)));
      line(5, fmt::format("new.{0} := this.{0};", name));
      line(4, "end if;");
    }
    line(3, "end;");
  }

  void update_mapping(const Mapping& mapping) {
    line(1, fmt::format("if not ({}) then", news_changed(mapping)));
    if (m_alone) {
      fill_news(2, mapping);
    } else {
      line(2, fmt::format("if {} or ({}) then", olds_changed(m_draft, mapping), unfilled(mapping, "old")));
      fill_news(3, mapping);
      line(2, "end if;");
    }
    line(1, fmt::format("elsif {} then", olds_changed(m_draft, mapping)));
    line(2, fmt::format("if not {} then", consistent(mapping)));
    fill_olds(3, mapping);
    line(2, "end if;");
    line(1, "else");
    line(2, fmt::format("if {} then", unfilled(mapping, "old")));
    complete_news(mapping);
    line(2, "end if;");
    fill_olds(2, mapping);
    line(1, "end if;");
  }

  const TableDraft& m_draft;
  /// The only mapping that an UPDATE concerns: that its O or N changed or that it is pending, WHEN has asked already.
  bool m_alone;
  std::string m_text;
};

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
         {olds_changed(draft, mapping), news_changed(mapping), "(" + unfilled(mapping, "old") + ")"}) {
      if (term != "false") {
        terms.push_back(term);
      }
    }
  }
  return join(terms, " or ");
}

}  // namespace

SyncTriggerSql sync_trigger(const Draft& plan, const TableDraft& draft) {
  const Table& table = *draft.table;
  const std::string id = short_hash(plan.plan().name + '\0' + table.name.schema + '\0' + table.name.name);
  SyncTriggerSql sql;

  // A function for each event: to ask TG_OP would cost on every row.
  const auto add_trigger = [&](const std::string& event, const std::string& condition, const std::string& statements) {
    const std::string suffix = "_" + id + "_" + event.front();
    const QualifiedName function{
        "ecmigrate", truncate_utf8("sync_" + table.name.name, k_max_identifier_bytes - suffix.size()) + suffix};
    const std::string body = fmt::format(
        "#variable_conflict use_column\ndeclare\n  this alias for new;\nbegin\n{}  return new;\nend\n", statements);
    const std::string tag = dollar_tag(body);
    sql.create.push_back(fmt::format("create function {}() returns trigger language plpgsql as {}\n{}{}",
                                     function.sql(), tag, body, tag));

    const std::string name = last_trigger_name(table, suffix);
    sql.trigger_names.push_back(name);
    sql.create.push_back(fmt::format("create trigger {} before {} on {} for each row {}execute function {}()",
                                     quote_identifier(name), event, table.name.sql(),
                                     condition.empty() ? "" : fmt::format("when ({}) ", condition), function.sql()));
    if (table.subscribed) {
      // A subscription's apply worker runs as a replica and would pass an ordinary trigger by.
      sql.create.push_back(
          fmt::format("alter table {} enable always trigger {}", table.name.sql(), quote_identifier(name)));
    }
    sql.drop.push_back(fmt::format("drop trigger if exists {} on {}", quote_identifier(name), table.name.sql()));
    sql.drop.push_back(fmt::format("drop function if exists {}()", function.sql()));
  };
  // The backfill inserts nothing: what is inserted in its transactions comes from the application's triggers.
  add_trigger("insert", "", FunctionBody(draft).insert_part());
  if (const std::string condition = update_condition(draft); !condition.empty()) {
    add_trigger("update", condition, FunctionBody(draft).update_part());
  }
  return sql;
}

}  // namespace ecmigrate
