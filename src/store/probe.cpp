#include "ecmigrate/store/probe.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "ecmigrate/base/caret.hpp"
#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/model/fixed_settings.hpp"
#include "ecmigrate/pg/sqlstate.hpp"
#include "ecmigrate/pg/syntax.hpp"
#include "lookup_rights.hpp"
#include "setting_dependence.hpp"

namespace ecmigrate {

namespace {

/// Where a plan's expressions find names, in a transaction: as role and database have it.
constexpr const char* k_plans_names =
    "set local search_path to default; select pg_catalog.set_config('search_path', concat_ws(', ', "
    "nullif(current_setting('search_path'), ''), 'pg_temp'), true)";

std::string column_of(const std::string& message, const std::string& what) {
  return fmt::format("{}: {}", what, message);
}

/// A statement with a text of the user's in it, between what is ours.
struct StatementAround {
  std::string before;
  std::string text;
  std::string after;
};

/// Where in a user's text the server found a fault: a character, counted from 0.
struct Fault {
  std::string text;
  std::size_t character = 0;
};

std::size_t characters_in(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U; }));
}

/// Reads the expressions of one table.
///
/// The temporary table has the name of the real one, so that an expression may say `users.full_name`; a view over it
/// (the table standing bare, without an alias) prints whatever name it has at the time, so after a rename the server
/// itself prints every column as `this.column`. With a second FROM item it qualifies columns always. pg_temp stands
/// last in search_path, so that a subquery of the expression still finds the real table.
class TableProbe {
 public:
  TableProbe(pg::Connection& connection, Draft& draft, TableDraft& table)
      : m_connection(connection), m_draft(draft), m_table(table) {}

  void run() {
    m_connection.script(std::string("begin; ") + k_plans_names);
    try {
      make_table();
      read_all();
      for (Mapping& mapping : m_table.mappings) {
        ask_what_null_means(mapping);
      }
    } catch (...) {
      try {
        m_connection.script("rollback");
      } catch (const Error&) {  // the first failure is the one to tell
      }
      throw;
    }
    m_connection.script("rollback");
  }

 private:
  [[nodiscard]] std::string temporary() const { return "pg_temp." + quote_identifier(m_table.table->name.name); }

  void make_table() {
    // From the facts, not LIKE the table: those may be of a moment before the table was changed.
    std::vector<std::string> columns;
    for (const Column& column : m_table.table->columns) {
      columns.push_back(fmt::format("{} {}{}", quote_identifier(column.name), column.type,
                                    column.collation.empty() ? "" : " collate " + column.collation));
    }
    m_connection.query(
        fmt::format("create temp table {} ({})", quote_identifier(m_table.table->name.name), join(columns, ", ")));
    std::vector<std::string> actions;
    for (const Mapping& mapping : m_table.mappings) {
      for (const NewColumn& column : mapping.news) {
        actions.push_back(fmt::format("add column {} {}{}", quote_identifier(column.name), column.type,
                                      column.collation.empty() ? "" : " collate " + column.collation));
      }
    }
    for (const std::string& name : m_table.new_names) {
      const bool mapped = std::ranges::any_of(m_table.mappings, [&](const Mapping& mapping) {
        return std::ranges::any_of(mapping.news, [&](const NewColumn& column) { return column.name == name; });
      });
      if (const auto type = m_table.plain_columns.find(name); !mapped && type != m_table.plain_columns.end()) {
        actions.push_back(fmt::format("add column {} {}", quote_identifier(name), type->second.first));
      }
    }
    if (!actions.empty()) {
      m_connection.query(fmt::format("alter table {} {}", temporary(), join(actions, ", ")));
    }
  }

  void read_all() {
    for (Mapping& mapping : m_table.mappings) {
      for (NewColumn& column : mapping.news) {
        read(column.up);
      }
      for (OldColumn& old : mapping.olds) {
        if (old.down) {
          read(*old.down);
        }
      }
    }
    for (ConstraintAdd& constraint : m_table.constraints) {
      if (constraint.foreign_key.empty()) {
        read(constraint.check);
      } else {
        read_foreign_key(constraint);
      }
    }
    for (IndexBuild& index : m_table.indexes) {
      read(index.definition, &index);
    }
    for (Expression& expression : m_table.expressions) {
      read(expression);
    }
  }

  void read(Expression& expression, IndexBuild* index = nullptr) {
    if (!expression.sql.empty()) {
      return;  // made by us, of quoted names alone
    }
    std::optional<pg::SqlError> refusal = try_to_read(expression, index);
    const std::optional<Fault> fault = m_fault;
    const std::string text = expression.text;
    for (const std::string& alternative : expression.alternatives) {
      if (refusal && alternative != text) {
        expression.text = alternative;
        if (!try_to_read(expression, index)) {
          refusal.reset();
        }
      }
    }
    if (refusal) {
      complain(expression, *refusal, fault);
    }
  }

  void complain(const Expression& expression, const pg::SqlError& error, const std::optional<Fault>& fault) {
    std::string message = column_of(error.what(), expression.what);
    std::string hint = error.hint();
    if (fault && trim(fault->text) == trim(expression.text) && expression.at.line > 0) {
      const std::string text = fault->text.substr(0, fault->text.find_last_not_of("\n") + 1);
      message += "\n" + with_caret(text, fault->character);
      if (fault->character >= characters_in(text) && hint.empty()) {
        hint = "The server has read past its end: is a bracket left open, or something missing there?";
      }
    }
    if (error.sqlstate() == pg::sqlstate::k_insufficient_privilege) {
      m_draft.refuse(expression.at, message, hint);
    } else {
      m_draft.complain(expression.at, message, hint);
    }
  }

  /// Keeps where in the text the server found a fault, if it did.
  void execute(const StatementAround& statement) {
    try {
      m_connection.query(statement.before + statement.text + statement.after);
    } catch (const pg::SqlError& error) {
      const std::size_t before = characters_in(statement.before);
      if (const auto position = static_cast<std::size_t>(error.position()); position > before) {
        m_fault = Fault{statement.text, position - 1 - before};
      }
      throw;
    }
  }

  std::optional<pg::SqlError> try_to_read(Expression& expression, IndexBuild* index) {
    m_fault.reset();
    std::optional<pg::SqlError> refusal;
    try {
      try {
        read_by_kind(expression, index);
      } catch (const pg::SqlError& error) {
        if (!error.is_class(pg::sqlstate::k_syntax_error_or_access_rule_violation) || !m_table.prelude.empty() ||
            !run_prelude()) {
          throw;
        }
        m_fault.reset();
        read_by_kind(expression, index);
      }
    } catch (const pg::SqlError& error) {
      if (error.connection_lost()) {
        throw;
      }
      refusal = error;
    }
    reopen();
    return refusal;
  }

  void read_by_kind(Expression& expression, IndexBuild* index) {
    m_connection.script("savepoint expression" + renames(expression, false));
    switch (expression.kind) {
      case Expression::Kind::value:
        read_value(expression);
        break;
      case Expression::Kind::check:
        read_check(expression);
        break;
      case Expression::Kind::index:
        read_index(expression, index);
        break;
    }
  }

  /// The expression may need what an earlier `sql` operation of the plan makes, a function for instance. Only then is
  /// that SQL tried, in this transaction: it may take locks. Gives whether there is any.
  bool run_prelude() {
    reopen();
    for (const Draft::PlannedStep& step : m_draft.steps()) {
      if (step.phase == "expand" && step.step.kind == Step::Kind::transaction &&
          step.operation < m_table.first_operation) {
        std::ranges::copy(step.step.sql, std::back_inserter(m_table.prelude));
      }
    }
    if (!m_table.prelude.empty()) {
      m_connection.script("set local lock_timeout = '100ms'; " + join(m_table.prelude, ";\n") + ";\n" + k_plans_names);
    }
    return !m_table.prelude.empty();
  }

  void reopen() { m_connection.query("rollback to savepoint expression"); }

  [[nodiscard]] std::string renames(const Expression& expression, bool back) const {
    std::string sql;
    for (std::size_t i = 0; i < expression.renamed.size(); ++i) {
      const auto& [visible, physical] = expression.renamed[i];
      const std::string hidden = fmt::format("ecmigrate_hidden_{}", i);
      const std::string table = back ? "pg_temp.this" : temporary();
      if (back) {
        sql += fmt::format("; alter table {} rename column {} to {}; alter table {} rename column {} to {}", table,
                           quote_identifier(visible), quote_identifier(physical), table, hidden,
                           quote_identifier(visible));
      } else {
        sql += fmt::format("; alter table {} rename column {} to {}; alter table {} rename column {} to {}", table,
                           quote_identifier(visible), hidden, table, quote_identifier(physical),
                           quote_identifier(visible));
      }
    }
    return sql;
  }

  /// Under its final names, printed with every name qualified.
  pg::Rows print(const Expression& expression, const std::string& select) {
    const std::string rename =
        m_table.table->name.name == "this" ? "" : fmt::format("alter table {} rename to this; ", temporary());
    return m_connection
        .script(fmt::format("{}set local search_path = pg_catalog{}; {}", rename, renames(expression, true), select))
        .front();
  }

  void read_value(Expression& expression) {
    if (!expression.target_type.empty()) {
      m_connection.query(fmt::format("create temp table ecmigrate_target (value {})", expression.target_type));
      if (is_literal(expression)) {
        read_literal(expression);
        return;
      }
    }
    const std::string text = assignable(expression);
    make_view("ecmigrate_view", {"", text, ""});
    if (!expression.target_type.empty()) {
      // Assignment adds a conversion of its own, which may depend on more than the expression does.
      make_view("ecmigrate_assigned", {"(", text, "\n)::" + expression.target_type});
    }
    const pg::Rows rows = print(expression, R"(
with tree as (select ev_action::text as text from pg_rewrite where ev_class = 'pg_temp.ecmigrate_view'::regclass),
called as (select p.* from tree, regexp_matches(tree.text, ':(?:funcid|opfuncid) ([1-9][0-9]*)', 'g') m join pg_proc p on p.oid = m[1]::oid)
select pg_get_viewdef('pg_temp.ecmigrate_view'::regclass),
  (select json_agg(a.attname order by a.attnum) from pg_attribute a where a.attrelid = 'pg_temp.this'::regclass and a.attnum > 0
     and exists (select from pg_depend d join pg_rewrite r on r.oid = d.objid where r.ev_class = 'pg_temp.ecmigrate_view'::regclass
       and d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass and d.refobjid = a.attrelid and d.refobjsubid = a.attnum)),
  exists (select from called where provolatile = 'v'),
  exists (select from called where pronamespace = 'pg_catalog'::regnamespace and proname in ('now', 'transaction_timestamp', 'statement_timestamp'))
    or exists (select from tree where text ~ 'SQLVALUEFUNCTION'),
  exists (select from tree where text ~ '\{SUBLINK '))");
    const std::string definition = rows.text(0, 0);
    const std::size_t begin = definition.find("SELECT") + 6;  // a blank follows, or before CASE a line break
    const std::size_t end = definition.rfind(" AS ecmigrate_value");
    expression.sql = portable_literals(trim(definition.substr(begin, end - begin)));
    expression.reads = rows.is_null(0, 1) ? std::vector<std::string>{}
                                          : nlohmann::json::parse(rows.text(0, 1)).get<std::vector<std::string>>();
    expression.volatile_value = rows.boolean(0, 2);
    expression.repeatable = !expression.volatile_value && !rows.boolean(0, 3);
    expression.has_subquery = rows.boolean(0, 4);
    for (const std::string& name : expression.reads) {
      if (const Column* column = m_table.table->find_column(name); column != nullptr && column->generated) {
        m_draft.complain(
            expression.at,
            fmt::format("{} reads \"{}\", which is generated: its value does not exist yet when the trigger runs",
                        expression.what, name));
      }
    }
    if (const std::vector<std::string> missing = missing_lookup_rights(m_connection, m_table.table->name);
        !missing.empty()) {
      m_draft.refuse(expression.at,
                     fmt::format("{} uses what roles that write {} may not use, and the trigger runs as they do:\n  {}",
                                 expression.what, m_table.table->name.display(), join(missing, "\n  ")),
                     "Grant it to them, or put the look into a SECURITY DEFINER function.");
    }
    if (!expression.target_type.empty() && !expression.volatile_value) {  // or it is another value in any case
      judge_settings(expression);
    }
  }

  /// A statement of its own, sent so that the server takes only one: text that closes the bracket cannot smuggle in a
  /// second. The line break ends a comment.
  void make_view(const std::string& name, const StatementAround& value) {
    execute({fmt::format("create temp view {} as select ({}", name, value.before), value.text,
             fmt::format("{}\n) as ecmigrate_value from {}, (select 1) as ecmigrate_other", value.after, temporary())});
  }

  /// A quoted constant has no type of its own until it meets the column, unless something makes it a text first.
  bool is_literal(const Expression& expression) {
    m_connection.query("savepoint literal");
    make_view("ecmigrate_literal", {"pg_catalog.pg_typeof((", expression.text, "\n))"});
    const bool literal = m_connection
                             .query(
                                 "select r.ev_action::text ~ concat('FUNCEXPR :funcid ', "
                                 "'pg_catalog.pg_typeof'::regproc::oid, ' [^{]*:args "
                                 "\\(\\{CONST :consttype 705 ') from pg_catalog.pg_rewrite r "
                                 "where r.ev_class = 'pg_temp.ecmigrate_literal'::pg_catalog.regclass")
                             .boolean(0, 0);
    m_connection.query("rollback to savepoint literal");
    return literal;
  }

  /// As DDL reads it, by the type's own input.
  void read_literal(Expression& expression) {
    execute({"alter table pg_temp.ecmigrate_target alter column value set default (", expression.text, "\n)"});
    expression.sql = portable_literals(
        print(expression,
              "select pg_get_expr(adbin, adrelid) from pg_attrdef where adrelid = 'pg_temp.ecmigrate_target'::regclass")
            .text(0, 0));
  }

  /// The text to read: the plan's, or its conversion where the server has none of its own for an assignment.
  std::string assignable(const Expression& expression) {
    if (expression.target_type.empty()) {
      return expression.text;
    }
    m_connection.query("savepoint assignment");
    try {
      execute({"explain insert into pg_temp.ecmigrate_target select (", expression.text, "\n) from " + temporary()});
    } catch (const pg::SqlError& error) {
      if (error.sqlstate() != pg::sqlstate::k_datatype_mismatch || expression.converted.empty()) {
        throw;
      }
      m_fault.reset();
      m_connection.query("rollback to savepoint assignment");
      m_connection.query(fmt::format("explain insert into pg_temp.ecmigrate_target select ({}\n) from {}",
                                     expression.converted, temporary()));
      return expression.converted;
    }
    return expression.text;
  }

  /// What is written by clients' sessions, by the backfill and by a repair has to be the same.
  void judge_settings(Expression& expression) {
    if (!expression.in_trigger) {
      return;
    }
    const SettingDependence dependence = read_setting_dependence(m_connection, "pg_temp.ecmigrate_assigned");
    expression.depends_on_style = dependence.style && expression.repeatable;
    if (dependence.time_zone && expression.repeatable) {
      m_draft.refuse(expression.at,
                     fmt::format("{} depends on each session's time zone: the application's writes and the backfill's "
                                 "could be different values ({} as {})",
                                 expression.what, expression.sql, expression.target_type),
                     "Say which zone is meant: \"created at time zone 'Europe/Berlin'\" turns a timestamp into a "
                     "timestamptz and a timestamptz into a timestamp.");
    }
    const std::string differs =
        "{} calls {}, which each session answers for itself: the application's writes and the backfill's could be "
        "different values";
    if (!dependence.text_search.empty()) {
      m_draft.refuse(expression.at, fmt::format(fmt::runtime(differs), expression.what, dependence.text_search),
                     "Name the text search configuration: to_tsvector('pg_catalog.english', …).");
    }
    if (!dependence.session.empty() && m_draft.plan().deterministic) {
      m_draft.refuse(
          expression.at, fmt::format(fmt::runtime(differs), expression.what, dependence.session),
          "Use what the row itself says, or say `deterministic: false` at the top of the plan if it is meant "
          "so.");
    }
  }

  void read_check(Expression& expression) {
    // Of a constraint the server does not say where its fault is.
    make_view("ecmigrate_view", {"", expression.text, ""});
    execute(
        {fmt::format("alter table {} add constraint ecmigrate_check check (", temporary()), expression.text, "\n)"});
    expression.sql =
        print(expression,
              "select pg_get_constraintdef(oid) from pg_constraint where conrelid = 'pg_temp.this'::regclass and "
              "conname = 'ecmigrate_check'")
            .text(0, 0);
  }

  /// Between empty tables of the same shapes the server says whether it would take the key, and how it compares.
  void read_foreign_key(ConstraintAdd& constraint) {
    m_connection.query("savepoint expression");
    try {
      m_connection.query(fmt::format("create temp table ecmigrate_pointed_at (like {} including indexes)",
                                     constraint.references->sql()));
      std::string key = constraint.foreign_key;
      const std::string target = " references " + constraint.references->sql();
      key.replace(key.find(target), target.size(), " references pg_temp.ecmigrate_pointed_at");
      m_connection.query(fmt::format("alter table {} add constraint ecmigrate_key {}", temporary(), key));
      const pg::Rows rows = m_connection.query(fmt::format(
          "select pg_catalog.format('operator(%I.%s)', n.nspname, o.oprname) from pg_catalog.pg_constraint k, "
          "pg_catalog.unnest(k.conpfeqop) with ordinality u(operator, place) join pg_catalog.pg_operator o on o.oid = "
          "u.operator join pg_catalog.pg_namespace n on n.oid = o.oprnamespace where k.conname = 'ecmigrate_key' and "
          "k.conrelid = {}::pg_catalog.regclass order by u.place",
          quote_literal(temporary())));
      for (int row = 0; row < rows.size(); ++row) {
        constraint.operators.push_back(rows.text(row, 0));
      }
    } catch (const pg::SqlError& error) {
      if (error.connection_lost()) {
        throw;
      }
      if (error.sqlstate() == pg::sqlstate::k_insufficient_privilege) {
        m_draft.warn(fmt::format("foreign key {} cannot be tried on rows: {}", constraint.name, error.what()));
      } else {
        m_draft.complain(constraint.at, column_of(error.what(), "foreign key " + constraint.name), error.hint());
      }
    }
    reopen();
  }

  void read_index(Expression& expression, IndexBuild* index) {
    execute({fmt::format("create index ecmigrate_index on {} ", temporary()), trim(expression.text), "\n"});
    const pg::Rows rows =
        print(expression,
              "select pg_get_indexdef(x.indexrelid), (select json_agg(pg_get_indexdef(x.indexrelid, n, false) order by "
              "n) from generate_series(1, x.indnkeyatts) n), pg_get_expr(x.indpred, x.indrelid), "
              "coalesce((to_jsonb(x) ->> 'indnullsnotdistinct')::boolean, false) from pg_index x where "
              "x.indexrelid = 'pg_temp.ecmigrate_index'::regclass");
    const std::string definition = rows.text(0, 0);
    if (index != nullptr && index->unique) {
      index->keys = nlohmann::json::parse(rows.text(0, 1)).get<std::vector<std::string>>();
      index->predicate = rows.text(0, 2);
      index->nulls_are_equal = rows.boolean(0, 3);
    }
    // `CREATE INDEX ecmigrate_index ON pg_temp_3.this USING …`: our own names, without spaces.
    expression.sql = definition.substr(definition.find(".this ") + 5);
  }

  /// Nulls in all of N are pending for certain if a synced row cannot have them while up(O) is something.
  void ask_what_null_means(Mapping& mapping) {
    std::vector<std::string> nulls;
    std::vector<std::string> olds;
    std::vector<std::string> tests;
    std::vector<std::string> new_names;
    std::vector<std::string> old_names;
    for (const NewColumn& column : mapping.news) {
      nulls.push_back(fmt::format("null::{} as {}", column.type, quote_identifier(column.name)));
      new_names.push_back(column.name);
    }
    for (const OldColumn& old : mapping.olds) {
      if (!old.down || old.down->sql.empty() || !only(old.down->reads, new_names)) {
        return;
      }
      olds.push_back(
          fmt::format("({})::{} as {}", old.down->sql, old.column->type, quote_identifier(old.column->name)));
      old_names.push_back(old.column->name);
    }
    for (const NewColumn& column : mapping.news) {
      if (column.up.sql.empty() || !only(column.up.reads, old_names)) {
        return;
      }
      tests.push_back(fmt::format("({}) is null", column.up.sql));
    }
    if (olds.empty() || tests.empty()) {
      return;
    }
    m_connection.query("savepoint expression");
    try {
      mapping.null_means_pending = m_connection
                                       .query(fmt::format("select {} from (select {} from (select {}) as this) as this",
                                                          join(tests, " and "), join(olds, ", "), join(nulls, ", ")))
                                       .boolean(0, 0);
    } catch (const pg::SqlError& error) {
      if (error.connection_lost()) {
        throw;
      }  // it raises for nulls: then a marker is needed
    }
    reopen();
  }

  static bool only(const std::vector<std::string>& names, const std::vector<std::string>& allowed) {
    return std::ranges::all_of(
        names, [&](const std::string& name) { return std::ranges::find(allowed, name) != allowed.end(); });
  }

  pg::Connection& m_connection;
  Draft& m_draft;
  TableDraft& m_table;
  std::optional<Fault> m_fault;  ///< of the last statement that failed
};

/// What an operation `sql` says can be anything; its syntax is known before the first lock, also of what contract runs.
void read_plans_sql(pg::Connection& connection, Draft& draft) {
  for (const PlansSql& sql : draft.plans_sql()) {
    connection.script("begin; " + users_settings_for_now());
    if (const auto error = pg::syntax_error(connection, sql.text)) {
      std::string message = column_of(error->what(), sql.what);
      if (error->position() > 0) {
        message += "\n" + with_caret(sql.text, static_cast<std::size_t>(error->position()) - 1);
      }
      draft.complain(sql.at, message, error->hint());
    }
  }
}

}  // namespace

void probe_expressions(pg::Connection& connection, Draft& draft) {
  for (TableDraft& table : draft.tables()) {
    TableProbe(connection, draft, table).run();
  }
  read_plans_sql(connection, draft);
  draft.throw_complaints();
}

}  // namespace ecmigrate
