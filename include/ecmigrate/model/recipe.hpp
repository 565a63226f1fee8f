#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ecmigrate/base/quote.hpp"

namespace ecmigrate {

/// What a plan means for one database, as data. Compiled once, at expand, and kept in the journal: every later phase
/// runs exactly what was decided then, and `ecmigrate plan` prints it. SQL in it names the row it works on `this`.

enum class LockMode { none, share_update_exclusive, share_row_exclusive, access_exclusive };

/// "ACCESS EXCLUSIVE"; empty for none.
std::string_view lock_mode_name(LockMode mode);

struct LockRequest {
  QualifiedName relation;
  LockMode mode = LockMode::access_exclusive;
  bool sequence = false;  ///< LOCK TABLE takes none of those

  friend bool operator==(const LockRequest&, const LockRequest&) = default;
};

/// What one transaction does, or one statement that cannot be in one.
struct Action {
  enum class Kind {
    transaction,  ///< `locks`, then `sql`, in one transaction with the journal's row
    index_build,  ///< `sql[0]` is CREATE INDEX CONCURRENTLY of `index`
    index_drop,   ///< `sql[0]` is DROP INDEX CONCURRENTLY of `index`
    validate,     ///< `sql[0]` is VALIDATE CONSTRAINT: a scan under a lock that stops nobody's reads or writes
  };
  Kind kind = Kind::transaction;
  std::string title;               ///< "add first_name, last_name and sync trigger"
  std::vector<LockRequest> locks;  ///< taken in this order before the first statement
  std::vector<std::string> sql;
  std::optional<QualifiedName> index;
  std::string cost;  ///< "catalogue only", "reads the table", "builds the index": for `ecmigrate plan`

  friend bool operator==(const Action&, const Action&) = default;
};

/// One step of a phase, with what undoes it: an undo has no life of its own, so none can be left without its step.
struct Step : Action {
  std::string id;  ///< unique in its phase and the same in every run
  std::optional<Action> undo;

  friend bool operator==(const Step&, const Step&) = default;
};

/// A step of the operation `sql`: the one kind of transaction for which nothing is locked beforehand.
inline bool is_plans_own_sql(const Step& step) {
  return step.kind == Step::Kind::transaction && step.locks.empty();
}

/// One mapping between old columns and new ones, compiled.
struct SyncedMapping {
  std::string label;  ///< "full_name → first_name, last_name"
  std::vector<std::string> old_columns;
  std::vector<std::string> new_columns;
  std::string pending;       ///< the row still waits for its new values
  std::string inconsistent;  ///< filled, and neither N = up(O) nor O = down(N); empty where values cannot be compared
  std::string fill;          ///< SET list that makes a pending row right
  std::string fill_if_pending;  ///< the same, leaving a row alone that is not pending; for tables with several mappings
  std::string old_from_new;     ///< SET list of `verify --repair=new`; empty where there is no `down`
};

/// A table that has to be walked.
struct SyncedTable {
  QualifiedName table;
  std::vector<SyncedMapping> mappings;
  std::vector<std::string> key;  ///< primary key columns, for naming rows; may be empty
  /// Splits the rows of a page evenly: a bigint expression over `this`, of which the lower 32 bits count. See
  /// spread_end().
  std::string spread;
  bool user_update_triggers = false;  ///< the user's own row triggers would fire for the backfill
};

/// A trial of a mapping on real rows before anything is changed.
struct Trial {
  QualifiedName table;
  std::vector<QualifiedName> leaves;
  std::vector<std::string> key;
  std::string label;
  std::vector<std::string> prelude;  ///< the plan's own SQL that has to have run before; rolled back with the trial
  std::string source;  ///< a FROM item made from the table: the row with N := up(O) added; `%s` is the leaf
  std::vector<std::string> defaults;   ///< what `up` makes of the old columns' defaults: every INSERT evaluates it
  std::vector<std::string> evaluated;  ///< every `up` and `down`, as they would be assigned
  std::vector<std::string> unique;     ///< columns of the source; rows that have them equal are too many; then nothing
                                       ///< else is tried, and all leaves are looked at together
  std::string
      violates;  ///< predicate over the source: the row violates the constraint `label`; then nothing else is tried
  std::string null_in;       ///< predicate over the source: a NOT NULL column would be null; empty when none could
  std::string lossy;         ///< predicate over the source: does not come back equal; empty when there is no way back
  std::string shown_before;  ///< text expression: the old values
  std::string shown_after;   ///< text expression: what they come back as
};

/// What contract drops, for its look at what else would go with it.
struct ColumnDrop {
  QualifiedName table;
  std::string column;
  std::vector<std::string> replaced;  ///< names of indexes and constraints that the recipe itself puts back
  bool type_change = false;           ///< not dropped: its type changes in place, which views and others also forbid
  std::string successor{};            ///< the column that takes its place; empty where none does
  /// The plan itself says these of the successor.
  bool default_planned = false;
  bool comment_planned = false;
  /// The default that expand gave the column that goes, as SQL, and not the application's; empty: none.
  std::string interim_default{};
};

/// The names that a recipe adds to a table.
struct AddedObjects {
  QualifiedName table;
  std::vector<std::string> columns;
  std::vector<std::string> constraints;
  std::vector<std::string> indexes;
};

/// A trigger pair that must be there and enabled until contract.
struct SyncTrigger {
  QualifiedName table;
  std::vector<std::string> names;
  std::vector<std::string> make{};  ///< statements that make them and their functions anew, whatever is left of them
};

/// What the old version of the application alone uses of a table: columns whose names are gone after contract.
struct OldShape {
  QualifiedName table;
  std::vector<std::string> columns;
  /// A sequence whose value is when the last write by these columns was, in milliseconds since 1970; as long as it was
  /// not called, when expand made it. No name where nothing notes the writes.
  QualifiedName last_write{};
};

struct Recipe {
  std::vector<QualifiedName> tables;  ///< every table the migration changes
  std::vector<Step> expand;
  std::vector<SyncedTable> synced;
  std::vector<Step> after_fill;       ///< ends the backfill phase: indexes that would have made it slow
  std::vector<Step> validate;         ///< ends the verify phase
  std::vector<Step> before_contract;  ///< begins the contract phase, while the way back is still open
  std::vector<Step> contract;
  std::vector<ColumnDrop> drops;
  std::vector<SyncTrigger> triggers;
  std::vector<AddedObjects> added;
  std::vector<OldShape> old_shapes;
  std::vector<Trial> trials;          ///< for expand only; not kept in the journal
  std::vector<std::string> warnings;  ///< for expand only; not kept in the journal
};

/// The undos of a recipe in the order in which rollback runs them, each with the id of its step.
std::vector<Step> undo_steps(const Recipe& recipe);

}  // namespace ecmigrate
