#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ecmigrate/model/catalog.hpp"
#include "ecmigrate/model/plan.hpp"
#include "ecmigrate/model/recipe.hpp"

namespace ecmigrate {

/// An SQL text of a plan over the row of a table. `sql` to `repeatable` are filled in by the server (see
/// store/probe.hpp) before the draft is compiled.
struct Expression {
  enum class Kind {
    value,  ///< an expression; `sql` calls the row `this` and has every name qualified
    check,  ///< the expression of a CHECK constraint; `sql` is `CHECK (…)` with bare column names
    index,  ///< what follows the table's name in CREATE INDEX; `sql` the same with physical column names
  };
  Kind kind = Kind::value;
  std::string text;                       ///< as in the plan
  std::vector<std::string> alternatives;  ///< of the same meaning, read in turn where the server does not take `text`
  std::string what;                       ///< "up of first_name", for messages
  Location at;
  std::string target_type;  ///< type of the column it is assigned to
  /// Read instead of `text` where the server would not assign that to a column of `target_type`; may be empty.
  std::string converted;
  bool in_trigger = false;  ///< the sync trigger evaluates it, in the application's sessions
  /// Columns that are visible under another name while the expression is read: {visible name, physical name}. The
  /// physical column of a visible name that exists already is hidden.
  std::vector<std::pair<std::string, std::string>> renamed;

  std::string sql;                 ///< the server's reading of it
  std::vector<std::string> reads;  ///< columns of the row, by physical name
  bool repeatable = true;          ///< gives the same value each time for the same row
  bool volatile_value = false;     ///< may differ from row to row of one statement, as random() does
  bool has_subquery = false;
  /// Text in it depends on a session's styles of dates, numbers and the like, so that a function that has it has to
  /// fix them.
  bool depends_on_style = false;
};

/// A new column and how it is filled.
struct NewColumn {
  std::string name;  ///< physical
  std::string type;  ///< as the plan writes it; replaced by the server's spelling when probed
  DomainFacts domain;
  bool equality_is_identity = true;
  bool nullable = true;
  std::optional<std::string> default_sql;
  const Expression* default_read = nullptr;  ///< the server's reading of it, among the table's expressions
  bool default_is_old = false;  ///< the default is the old column's own, which the server has applied there already
  /// The old column's default becomes the new one's through `up`.
  bool default_through_up = false;
  /// What the column's default is until contract, so that an INSERT that names the column and gives null is told from
  /// one that does not name it: what `up` makes of the old columns' defaults. Decided by compile.
  std::optional<std::string> interim_default;
  bool interim_is_nobodys = false;  ///< no application writes that value, so it says for certain "not named"
  /// The plan's default is in force from expand on, so a null in an INSERT was given.
  bool default_in_force = false;
  /// Nullable only on its face: it is kept equal to an old column that is NOT NULL.
  bool held_by_old = false;
  std::optional<std::string> comment;
  std::string collation;
  std::string not_null_check;  ///< the constraint that holds NOT NULL until contract; empty for a nullable column
  /// Of the NOT NULL that contract sets, where the server gives it a name (18 on) and that is not the column's last
  /// one's: it is renamed with the column. Else empty.
  std::string not_null_name;
  Expression up;
};

/// An old column of a mapping and how the new application's writes come back to it.
struct OldColumn {
  const Column* column = nullptr;
  std::optional<Expression> down;
  const Expression* default_read = nullptr;  ///< the server's reading of its default, among the table's expressions
};

/// Old columns O, new columns N, `up`: O → N and `down`: N → O. O or N may be empty: a new column with `up` alone
/// follows nothing back, an old column with `down` alone is only kept filled until it is dropped.
struct Mapping {
  int operation = 0;  ///< the operation's place in the plan; mappings are filled in this order
  std::string label;
  std::vector<OldColumn> olds;
  std::vector<NewColumn> news;
  /// The hidden column that says "filled", where values cannot say it. Without O it also says by whom: true by `up`,
  /// false by the application.
  std::optional<std::string> marker;
  bool keeps_names = false;         ///< what becomes of O has its names after contract
  bool null_means_pending = false;  ///< set by the server's answer: up(down(null, …)) is null in every column
};

struct IndexBuild {
  QualifiedName name;
  std::string shown;  ///< the name that it, or its constraint, has or will have for people
  bool unique = false;
  Expression definition;         ///< of kind index: ` USING btree (…) …`
  bool after_fill = false;       ///< it would make the backfill's updates leave their pages
  bool may_be_violated = false;  ///< unique, and the rows of today need not be so: they are looked at before expand
  bool before_contract = false;  ///< unique for what comes after contract alone; until then it would be in the way
  std::string tablespace;
  std::vector<std::string> keys;  ///< of a unique one, read by the server: what may be there once, by bare names
  std::string predicate;          ///< the same: for which rows
  bool nulls_are_equal = false;   ///< the same: of NULLS NOT DISTINCT
  bool drop_on_rollback = true;
};

/// A constraint that expand adds NOT VALID and verify validates.
struct ConstraintAdd {
  std::string name;
  std::string shown;                        ///< of a copy, the original's name
  Expression check;                         ///< of kind check; unused for a foreign key
  std::string foreign_key;                  ///< `FOREIGN KEY (…) REFERENCES …`, or empty
  std::optional<QualifiedName> references;  ///< the other table of a foreign key
  std::vector<std::string> columns;         ///< of a foreign key, physical
  std::vector<std::string> referenced_columns;
  std::vector<std::string> operators;  ///< of a foreign key, read by the server: referenced column, operator, column
  bool enforced = true;
  Location at;
  bool no_inherit = false;
  bool validate = true;  ///< false: a copy of one that is NOT VALID itself
};

/// What a plan changes on one table. Statements of one phase run in one transaction under one lock, in the order
/// written here.
struct TableDraft {
  const Table* table = nullptr;
  int first_operation = 0;  ///< places in the plan of the first and the last operation on it
  int last_operation = 0;
  /// SQL that has to have run before the server can read the table's expressions: the plan's own, from operations
  /// before the first on this table. Filled in by the probe.
  std::vector<std::string> prelude;
  std::deque<Mapping> mappings;  ///< a deque: kinds keep references while they add more
  std::vector<std::string> expand_titles;
  std::vector<std::string> expand;  ///< before the sync trigger is made
  std::vector<std::string> contract_titles;
  std::vector<std::string> contract;  ///< after the sync trigger is gone
  std::vector<std::string> rollback;  ///< after the sync trigger is gone
  std::deque<ConstraintAdd> constraints;
  std::deque<IndexBuild> indexes;
  std::vector<ColumnDrop> drops;
  std::vector<std::string> taken;                         ///< existing columns that an operation changes
  std::vector<std::pair<std::string, Location>> indexed;  ///< columns that `create_index` operations name
  /// Columns that an index of the plan names and that go or are dropped at contract, with the one that stays for them:
  /// {name in the plan, physical name}.
  std::vector<std::pair<std::string, std::string>> indexed_as;
  std::vector<std::string> new_names;  ///< columns that the plan adds, by the name the application sees
  /// New columns outside every mapping: their types, and the value that rows have of them, once it was read.
  std::map<std::string, std::pair<std::string, std::string>> plain_columns;
  std::vector<QualifiedName> locked_at_contract;     ///< other tables that contract's statements lock
  std::vector<QualifiedName> sequences_at_contract;  ///< sequences that they lock
  std::deque<Expression> expressions;                ///< further texts that the server has to read
  std::vector<std::function<void()>> after_probe;    ///< decisions that need what the server said; run by compile
};

/// A text of an operation `sql`: only its syntax can be known before it runs.
struct PlansSql {
  std::string text;
  std::string what;  ///< "contract of sql", for messages
  Location at;
};

/// Something in the catalog that a plan speaks of.
struct CatalogThing {
  enum class What { table, column, key, constraint, index };  ///< a key is a column with a unique index
  What what = What::table;
  QualifiedName table;  ///< or the index
  std::string name;     ///< of the column or constraint
};

/// Collects what the operations of one plan contribute, and every complaint about them.
class Draft {
 public:
  struct Complaint {
    enum class Kind {
      wrong,    ///< the plan does not fit the database
      absent,   ///< the same, as the catalog does not have `thing`
      taken,    ///< the same, as the catalog has `thing`, which the plan wants to make
      refused,  ///< it fits, but doing it would do harm
    };
    Kind kind = Kind::wrong;
    Location at;
    std::string message;
    std::string hint;
    CatalogThing thing{};
  };

  Draft(const Plan& plan, const Catalog& catalog) : m_plan(plan), m_catalog(catalog) {}

  [[nodiscard]] const Plan& plan() const { return m_plan; }
  [[nodiscard]] const Catalog& catalog() const { return m_catalog; }

  /// The draft of the table that an operation's `table:` names, or nullptr after a complaint.
  TableDraft* table(const PlannedOperation& operation, std::string_view key = "table");
  /// The column, or nullptr after a complaint that names the nearest one. Few can do anything with a generated one.
  const Column* column(const TableDraft& draft, const std::string& name, Location at, bool may_be_generated = false);
  /// Reserves a column for one operation: complains and gives false where another operation of the plan changes it.
  bool take_column(TableDraft& draft, const Column& column, Location at);
  /// Whether a name is free for a new column; complains if not.
  bool claim_column(TableDraft& draft, const std::string& name, Location at);
  /// Whether a name is free for a new constraint or index; complains if not.
  bool claim_constraint(const TableDraft& draft, const std::string& name, Location at);
  bool claim_index(const TableDraft& draft, const std::string& name, Location at);
  /// The server's reading of a type that the plan writes; complains (and gives the text back) where there is none.
  TypeFacts type(const std::string& text, Location at);
  /// Whether the draft adds a column of that name.
  [[nodiscard]] static bool adds_column(const TableDraft& draft, std::string_view name);

  /// The plan does not fit the database (exit 3).
  void complain(Location at, const std::string& message, const std::string& hint = {});
  /// The same, as the catalog does not have something.
  void complain_of_absent(const CatalogThing& thing, Location at, const std::string& message,
                          const std::string& hint = {});
  /// The same, of a name that no table has, or no column of the table; `missed` is what the plan counts on.
  void complain_of_missing_table(const CatalogThing& missed, Location at, const QualifiedName& name);
  void complain_of_missing_column(const CatalogThing& missed, Location at, const Table& table, const std::string& name);
  /// It fits, but doing it would do harm (exit 7).
  void refuse(Location at, const std::string& message, const std::string& hint = {});
  void warn(std::string text) { m_warnings.push_back(std::move(text)); }
  /// A step of its own, outside the tables' transactions; run in the plan's order.
  void add_step(std::string_view phase, int operation, Step step);
  void add_plans_sql(PlansSql sql) { m_plans_sql.push_back(std::move(sql)); }

  [[nodiscard]] std::deque<TableDraft>& tables() { return m_tables; }
  [[nodiscard]] const std::deque<TableDraft>& tables() const { return m_tables; }
  [[nodiscard]] const std::vector<std::string>& warnings() const { return m_warnings; }
  struct PlannedStep {
    std::string phase;
    int operation = 0;
    Step step;
  };
  [[nodiscard]] const std::vector<PlannedStep>& steps() const { return m_steps; }
  [[nodiscard]] const std::vector<PlansSql>& plans_sql() const { return m_plans_sql; }
  [[nodiscard]] const std::vector<Complaint>& complaints() const { return m_complaints; }
  /// Throws one Error with all complaints, if there are any.
  void throw_complaints() const;

  /// A name for an object of ours: readable, at most 63 bytes, and taken by nothing in `taken`. The same plan always
  /// gets the same name.
  [[nodiscard]] std::string object_name(const QualifiedName& table, std::string_view role,
                                        std::string_view about) const;

 private:
  bool fits(const std::string& name, Location at);
  /// "… exists already", or this plan makes it twice.
  void complain_of_taken(const CatalogThing& thing, Location at, const std::string& what, bool twice);

  const Plan& m_plan;
  const Catalog& m_catalog;
  std::deque<TableDraft> m_tables;
  std::set<QualifiedName> m_claimed_indexes;
  std::set<std::pair<QualifiedName, std::string>> m_claimed_constraints;  ///< table, name
  std::vector<Complaint> m_complaints;
  std::vector<std::string> m_warnings;
  std::vector<PlannedStep> m_steps;
  std::vector<PlansSql> m_plans_sql;
};

/// Runs every operation's contribution to a draft that is new; it has the complaints then.
void contribute_all(Draft& draft);

/// The same for a plan. Throws Error{plan_invalid} or Error{refused}.
Draft draft_plan(const Plan& plan, const Catalog& catalog);

/// Turns a probed draft into the recipe. Throws Error{plan_invalid} or Error{refused}.
Recipe compile(Draft& draft);

/// "plans/x.yaml:14:7", or the file's name where the line is unknown.
std::string place_of(const Plan& plan, Location at);

}  // namespace ecmigrate
