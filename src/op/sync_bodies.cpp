#include "sync_bodies.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "ecmigrate/base/text.hpp"
#include "mapping_sql.hpp"

namespace ecmigrate {

namespace {

/// The backfill's or the repair's own statement, and not what other triggers write on its occasion.
constexpr std::string_view k_own_statement =
    "pg_catalog.current_setting('ecmigrate.fill', true) = 'on' and pg_catalog.pg_trigger_depth() = 1";

std::string indented(int depth, const std::string& text) {
  return std::string(static_cast<std::size_t>(depth) * 2, ' ') + text + "\n";
}

constexpr std::string_view k_second = "pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())::bigint::text";

/// Writes the statements of one function.
class FunctionBody {
 public:
  explicit FunctionBody(const TableDraft& draft, std::optional<UseNoter> noter = std::nullopt)
      : m_draft(draft),
        m_noter(std::move(noter)),
        m_alone(std::ranges::count_if(draft.mappings, [](const Mapping& mapping) { return !mapping.news.empty(); }) ==
                1) {}

  [[nodiscard]] std::string insert_part() {
    for (const Mapping& mapping : m_draft.mappings) {
      insert_mapping(mapping);
    }
    return std::move(m_text);
  }

  [[nodiscard]] std::string update_part() {
    own_statement();
    read_set_null();
    for (const Mapping& mapping : m_draft.mappings) {
      if (mapping.news.empty()) {
        continue;
      }
      if (mapping.olds.empty()) {
        update_follower(mapping);
      } else {
        update_mapping(mapping);
        set_marker(mapping);
      }
    }
    return std::move(m_text);
  }

  [[nodiscard]] std::string early_insert_part() {
    for (const Mapping& mapping : m_draft.mappings) {
      if (can_be_early(mapping)) {
        // A null that was given leaves O as it is: the other trigger tells it from a row of the old version by that.
        line(1, fmt::format("if not ({}) and not ({}) then", news_not_given(mapping), news_null(mapping)));
        insert_given(2, mapping);
        line(1, "end if;");
      }
    }
    return std::move(m_text);
  }

  [[nodiscard]] std::string early_update_part() {
    line(1, fmt::format("if {} then", k_own_statement));
    line(2, "return new;");
    line(1, "end if;");
    for (const Mapping& mapping : m_draft.mappings) {
      if (can_be_early(mapping)) {
        line(1, fmt::format("if {} then", only_news_changed(mapping)));
        fill_olds(2, mapping);
        line(1, "end if;");
      }
    }
    return std::move(m_text);
  }

  /// The new version inserts the row, if not with the interim defaults.
  static std::string some_news_given(const Mapping& mapping) { return fmt::format("not ({})", news_unset(mapping)); }

  /// The new version wrote a row that does not wait.
  static std::string only_news_changed(const Mapping& mapping) {
    return fmt::format("({}) and not ({}) and not ({})", news_changed(mapping), olds_changed(mapping),
                       unfilled(mapping, "old"));
  }

 private:
  void line(int depth, const std::string& text) { m_text += indented(depth, text); }

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

  /// The backfill's and the repair's own statements (not what other triggers write on their occasion) set N or O as
  /// they should be, but a trigger of the user may have changed the row after that, as one that sets `updated_at` does.
  void own_statement() {
    // Not in WHEN: the server parses its tree anew for every statement, this once a session.
    line(1, fmt::format("if {} then", k_own_statement));
    const bool others_may_change_it = std::ranges::any_of(
        m_draft.table->triggers, [](const Trigger& trigger) { return trigger.before_row && trigger.on_update; });
    for (const Mapping& mapping : m_draft.mappings) {
      const std::string inputs = inputs_changed(m_draft, mapping);
      if (mapping.news.empty() || inputs == "false") {
        continue;
      }
      const std::string right = mapping.olds.empty() ? equals_up(mapping) : consistent(mapping);
      line(2, fmt::format("if ({}) and not ({}) then", inputs, right));
      fill_news(3, mapping);
      if (others_may_change_it && !mapping.olds.empty()) {
        line(2, fmt::format("elsif ({}) and not ({}) then", news_changed(mapping), right));
        fill_olds(3, mapping);
      }
      line(2, "end if;");
    }
    line(2, "return new;");
    line(1, "end if;");
  }

  /// Which columns of a row that still waits the statement set to null: it leaves no trace in the row, so triggers on
  /// these columns, which fire before this one, have left a note.
  void read_set_null() {
    std::vector<std::string> pending;
    for (const Mapping& mapping : m_draft.mappings) {
      if (can_be_set_null(mapping)) {
        pending.push_back(fmt::format("({})", unfilled(mapping, "old")));
      }
    }
    if (pending.empty()) {
      return;
    }
    line(1, fmt::format("if {} then", join(pending, " or ")));
    line(2, "ecmigrate_set_null := coalesce(pg_catalog.current_setting('ecmigrate.set_null', true), '');");
    line(2, "if ecmigrate_set_null <> '' then");
    line(3, "perform pg_catalog.set_config('ecmigrate.set_null', '', true);");
    line(2, "end if;");
    line(1, "end if;");
  }

  [[nodiscard]] std::string noted(const std::string& note) const {
    return fmt::format("pg_catalog.strpos(ecmigrate_set_null, {}) > 0", quote_literal(note));
  }

  /// N changed, or the statement set a part of it to null in a row that still waits.
  [[nodiscard]] std::string news_written(const Mapping& mapping) const {
    return can_be_set_null(mapping)
               ? fmt::format("{} or {}", news_changed(mapping), noted(set_null_note(m_draft, mapping)))
               : news_changed(mapping);
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

  /// The INSERT gave a column of O another value than its default.
  static std::string olds_given(const Mapping& mapping) {
    std::vector<std::string> terms;
    for (const OldColumn& old : mapping.olds) {
      const std::string name = "new." + quote_identifier(old.column->name);
      if (old.default_read != nullptr && old.default_read->volatile_value) {
        return "false";  // it cannot be told
      }
      terms.push_back(old.default_read == nullptr
                          ? name + " is not null"
                          : differs(name, fmt::format("({})::{}", old.default_read->sql, old.column->type),
                                    old.column->equality_is_identity));
    }
    return terms.empty() ? "false" : "(" + join(terms, " or ") + ")";
  }

  /// The INSERT says what O is. One that gives the default's value cannot be told from one that leaves O out.
  static std::string olds_set(const Mapping& mapping) {
    std::vector<std::string> terms;
    for (const OldColumn& old : mapping.olds) {
      const std::string name = "new." + quote_identifier(old.column->name);
      terms.push_back(old.default_read != nullptr
                          ? differs(name, fmt::format("({})::{}", old.default_read->sql, old.column->type),
                                    old.column->equality_is_identity)
                          : name + " is not null");
    }
    return join(terms, " or ");
  }

  void note_use(int depth, const Mapping& mapping, const std::string& used) {
    if (m_noter && notes_writes(mapping)) {
      m_text += m_noter->statement(depth, used);
    }
  }

  /// news_unset(), or the INSERT gave O and all of N as null: an old application that copies a whole row which still
  /// waits.
  static std::string news_not_given(const Mapping& mapping) {
    const bool has_interim =
        std::ranges::any_of(mapping.news, [](const NewColumn& column) { return column.interim_default.has_value(); });
    const std::string given = has_interim ? olds_given(mapping) : "false";
    return given == "false" ? news_unset(mapping)
                            : fmt::format("({} or ({} and ({})))", news_unset(mapping), news_null(mapping), given);
  }

  /// The INSERT did not name any column of N: each is what it is then, null or its interim default.
  static std::string news_unset(const Mapping& mapping) {
    std::vector<std::string> terms;
    for (const NewColumn& column : mapping.news) {
      terms.push_back(column.interim_default ? is_interim(column)
                                             : fmt::format("new.{} is null", quote_identifier(column.name)));
    }
    return join(terms, " and ");
  }

  static std::string is_interim(const NewColumn& column) {
    return fmt::format("not ({})", differs("new." + quote_identifier(column.name),
                                           fmt::format("({})::{}", *column.interim_default, column.type),
                                           column.equality_is_identity));
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

  /// What an INSERT left out of several new columns is what it will be after contract: its default, or null.
  void fill_left_out(int depth, const Mapping& mapping) {
    for (const NewColumn& column : mapping.news) {
      const std::string name = "new." + quote_identifier(column.name);
      const std::string value = column.default_is_old ? "null" : column.default_sql.value_or("null");
      if (column.interim_is_nobodys) {
        line(depth, fmt::format("if {} then", is_interim(column)));
      } else if (!column.nullable && value != "null") {
        line(depth, fmt::format("if {} is null then", name));
      } else {
        continue;
      }
      line(depth + 1, fmt::format("{} := {};", name, value));
      line(depth, "end if;");
    }
  }

  /// Some of N was given.
  void insert_given(int depth, const Mapping& mapping) {
    if (mapping.news.size() > 1) {
      fill_left_out(depth, mapping);
    }
    // Unset first: `down` of a row without O need not be asked.
    line(depth, fmt::format("if ({}) or not {} then", olds_null(mapping), consistent(mapping)));
    fill_olds(depth + 1, mapping);
    line(depth, "end if;");
  }

  void insert_mapping(const Mapping& mapping) {
    if (mapping.news.empty()) {  // a column on its way out, kept filled for those who still read it
      line(1, fmt::format("if {} then", olds_null(mapping)));
      fill_olds(2, mapping);
      line(1, "else");
      note_use(2, mapping, "true");
      line(2, "null;");
      line(1, "end if;");
      return;
    }
    if (std::ranges::any_of(mapping.news, [](const NewColumn& column) { return column.default_in_force; })) {
      if (mapping.marker) {  // the server has applied the default
        line(1, fmt::format("new.{0} := coalesce(new.{0}, false);", quote_identifier(*mapping.marker)));
      }
      return;
    }
    // A marker that is set comes with a row that moves between partitions: its nulls are the new application's.
    const std::string by_old = (mapping.marker ? unfilled(mapping, "new") + " and " : "") + news_not_given(mapping);
    line(1, fmt::format("if {} then", by_old));
    note_use(2, mapping, olds_set(mapping));
    fill_news(2, mapping);
    insert_defaults(mapping);
    if (mapping.olds.empty()) {
      if (mapping.marker) {
        mark(2, mapping, "true");
        line(1, fmt::format("elsif new.{} is null then", quote_identifier(*mapping.marker)));
        mark_written(2, mapping);
      }
      line(1, "end if;");
      return;
    }
    line(1, "else");
    insert_given(2, mapping);
    line(1, "end if;");
    set_marker(mapping);
  }

  void mark(int depth, const Mapping& mapping, const std::string& follows) {
    line(depth, fmt::format("new.{} := {};", quote_identifier(*mapping.marker), follows));
  }

  /// Whoever writes what `up` gives lets the value follow again.
  void mark_written(int depth, const Mapping& mapping) {
    mark(depth, mapping, mapping.news.front().up.repeatable ? equals_up(mapping) : "false");
  }

  /// `up` without `down`: the value follows what it was made from until somebody writes it.
  void update_follower(const Mapping& mapping) {
    line(1, fmt::format("if {} then", news_written(mapping)));
    if (mapping.marker) {
      mark_written(2, mapping);
    } else {
      line(2, "null;");
    }
    const std::string inputs = inputs_changed(m_draft, mapping);
    if (mapping.marker && mapping.news.front().up.repeatable && inputs != "false") {
      const std::string follows = "old." + quote_identifier(*mapping.marker);
      line(1, fmt::format("elsif ({}) or ({} and ({})) then", unfilled(mapping, "old"), follows, inputs));
    } else {
      line(1, fmt::format("elsif {} then", unfilled(mapping, "old")));
    }
    fill_news(2, mapping);
    if (mapping.marker) {
      mark(2, mapping, "true");
    }
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
      line(4, fmt::format("if not ({}){} then", differs("new." + name, "old." + name, column.equality_is_identity),
                          can_be_set_null(column)
                              ? fmt::format(" and not {}", noted(set_null_note(m_draft, mapping, &column)))
                              : ""));
      line(5, fmt::format("new.{0} := this.{0};", name));
      line(4, "end if;");
    }
    line(3, "end;");
  }

  void update_mapping(const Mapping& mapping) {
    line(1, fmt::format("if not ({}) then", news_written(mapping)));
    note_use(2, mapping, olds_changed(mapping));
    const std::string others = others_changed(m_draft, mapping);
    if (m_alone && others == "false") {
      fill_news(2, mapping);
    } else {
      line(2, fmt::format("if {} or ({}) then", olds_changed(mapping), unfilled(mapping, "old")));
      fill_news(3, mapping);
      if (others != "false") {
        line(2, fmt::format("elsif {} then", others));
        follow_others(mapping);
      }
      line(2, "end if;");
    }
    line(1, fmt::format("elsif {} then", olds_changed(mapping)));
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

  /// Another column that `up` or `down` reads changed, and neither O nor N did: the side that was made from the other
  /// is made anew.
  void follow_others(const Mapping& mapping) {
    line(3, "declare");
    line(4, "ecmigrate_from_old boolean;");
    line(4, "ecmigrate_from_new boolean;");
    line(3, "begin");
    line(4, "declare");
    line(5, "this alias for old;");
    line(4, "begin");
    line(5, fmt::format("ecmigrate_from_old := {};", equals_up(mapping)));
    line(5, fmt::format("ecmigrate_from_new := not ecmigrate_from_old and ({});", equals_down(mapping)));
    line(4, "end;");
    line(4, "if ecmigrate_from_old then");
    fill_news(5, mapping);
    line(4, "elsif ecmigrate_from_new then");
    fill_olds(5, mapping);
    line(4, "end if;");
    line(3, "end;");
  }

  const TableDraft& m_draft;
  std::optional<UseNoter> m_noter;
  /// The only mapping that an UPDATE concerns: that its O or N changed or that it is pending, WHEN has asked already.
  bool m_alone;
  std::string m_text;
};

}  // namespace

UseNoter::UseNoter(QualifiedName sequence, const std::string& id)
    : m_sequence(std::move(sequence)), m_setting(quote_literal("ecmigrate.used_" + id)) {}

std::string UseNoter::statement(int depth, const std::string& used) const {
  const std::string regclass = fmt::format("pg_catalog.to_regclass({})", quote_literal(m_sequence.sql()));
  return indented(depth, fmt::format("if ({}) and pg_catalog.current_setting({}, true) is distinct from {} then", used,
                                     m_setting, k_second)) +
         indented(depth + 1, fmt::format("perform pg_catalog.set_config({}, {}, false);", m_setting, k_second)) +
         indented(depth + 1, "if pg_catalog.has_schema_privilege('ecmigrate', 'usage') then") +
         indented(depth + 2, fmt::format("if pg_catalog.has_sequence_privilege({}, 'update') then", regclass)) +
         indented(depth + 3, fmt::format("perform pg_catalog.setval({}, {});", regclass, k_now)) +
         indented(depth + 2, "end if;") + indented(depth + 1, "end if;") + indented(depth, "end if;");
}

bool can_be_early(const Mapping& mapping) {
  const auto reads_only_news = [&](const Expression& down) {
    return std::ranges::all_of(down.reads, [&](const std::string& name) {
      return std::ranges::find(mapping.news, name, &NewColumn::name) != mapping.news.end();
    });
  };
  return !mapping.news.empty() && !mapping.olds.empty() && std::ranges::all_of(mapping.olds, [&](const OldColumn& old) {
    return old.down && old.down->renamed.empty() && reads_only_news(*old.down);
  }) && std::ranges::none_of(mapping.news, [](const NewColumn& column) { return column.default_in_force; });
}

std::string insert_body(const TableDraft& draft, const std::optional<UseNoter>& noter) {
  return FunctionBody(draft, noter).insert_part();
}

std::string update_body(const TableDraft& draft, const std::optional<UseNoter>& noter) {
  return FunctionBody(draft, noter).update_part();
}

std::string early_insert_body(const TableDraft& draft) {
  return FunctionBody(draft).early_insert_part();
}

std::string early_update_body(const TableDraft& draft) {
  return FunctionBody(draft).early_update_part();
}

std::string early_insert_condition(const Mapping& mapping) {
  return FunctionBody::some_news_given(mapping);
}

std::string early_update_condition(const Mapping& mapping) {
  return FunctionBody::only_news_changed(mapping);
}

}  // namespace ecmigrate
