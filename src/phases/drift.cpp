#include "drift.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ecmigrate/base/quote.hpp"

namespace ecmigrate {

namespace {

template <typename Name>
bool has(const std::vector<Name>& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

template <typename Object>
const Object* find_named(const std::vector<Object>& objects, const std::string& name) {
  const auto at = std::ranges::find(objects, name, &Object::name);
  return at == objects.end() ? nullptr : &*at;
}

bool same(const Index& a, const Index& b) {
  return a.tail == b.tail && a.unique == b.unique && a.constraint_type == b.constraint_type && a.comment == b.comment &&
         a.clustered == b.clustered && a.replica_identity == b.replica_identity && a.deferrable == b.deferrable &&
         a.initially_deferred == b.initially_deferred;
}
bool same(const Constraint& a, const Constraint& b) {
  return a.definition == b.definition && a.validated == b.validated && a.comment == b.comment;
}

/// Indexes stand for the constraints that they back; NOT NULL is the column's.
bool stands_alone(const Index&) {
  return true;
}
bool stands_alone(const Constraint& constraint) {
  return constraint.type == 'c' || constraint.type == 'f';
}

bool holds(const std::vector<Column::Grant>& grants, const Column::Grant& grant) {
  return std::ranges::any_of(grants, [&](const Column::Grant& one) {
    return one.grantee == grant.grantee && one.privilege == grant.privilege;
  });
}

/// One column that goes and the one that takes its place. Either the going one is the old column (a type change), or
/// it is the copy that expand made under the new name (a rename).
class Replacement {
 public:
  Replacement(const ColumnDrop& drop, const Table& then, const Table& now, Drift& drift)
      : m_drop(drop),
        m_then(then),
        m_now(now),
        m_drift(drift),
        m_old(then.find_column(drop.column)),
        m_base(m_old != nullptr ? m_old : then.find_column(drop.successor)),
        m_going(now.find_column(drop.column)),
        m_staying(now.find_column(drop.successor)) {}

  void look(const AddedObjects* added, const std::set<std::string>& accepted) {
    if (m_base == nullptr || m_going == nullptr || m_staying == nullptr) {
      return;  // contract has been here
    }
    look_at_column();
    look_at(m_then.indexes, m_now.indexes, "index", added == nullptr ? nullptr : &added->indexes, accepted);
    look_at(m_then.constraints, m_now.constraints, "constraint", added == nullptr ? nullptr : &added->constraints,
            accepted);
  }

 private:
  void carry(const std::string& statement) { m_drift.carry[{m_drop.table, m_drop.column}].push_back(statement); }
  void lose(const std::string& text) { m_drift.lost.push_back(text); }

  void alter_staying(const std::string& action) {
    carry(fmt::format("alter table {} alter column {} {}", m_drop.table.sql(), quote_identifier(m_drop.successor),
                      action));
  }

  void look_at_column() {
    if (!m_drop.comment_planned && m_going->comment != m_base->comment && m_staying->comment == m_base->comment) {
      carry(fmt::format("comment on column {}.{} is {}", m_drop.table.sql(), quote_identifier(m_drop.successor),
                        m_going->comment ? quote_literal(*m_going->comment) : "null"));
    }
    for (const Column::Grant& grant : m_base->grants) {
      // Where neither has it there is nothing to take back, and the role may be gone.
      if (holds(m_going->grants, grant) != holds(m_staying->grants, grant)) {
        carry(fmt::format("revoke {0} ({1}, {2}) on {3} from {4}", grant.privilege, quote_identifier(m_drop.column),
                          quote_identifier(m_drop.successor), m_drop.table.sql(), grant.grantee));
      }
    }
    if (m_old == nullptr) {
      if (m_going->default_sql && m_going->default_sql != m_drop.interim_default &&
          m_going->default_sql != m_base->default_sql && m_staying->default_sql == m_base->default_sql) {
        alter_staying("set default " + *m_going->default_sql);
      }
      return;
    }
    if (!m_drop.default_planned && m_going->default_sql != m_base->default_sql) {
      lose(fmt::format("the default of {}.{} is {}, it was {} at expand", m_drop.table.display(), m_drop.column,
                       m_going->default_sql.value_or("none"), m_base->default_sql.value_or("none")));
    }
    if (m_going->type != m_base->type || m_going->collation != m_base->collation ||
        m_going->not_null != m_base->not_null) {
      lose(fmt::format("{}.{} has another type, collation or NOT NULL than at expand", m_drop.table.display(),
                       m_drop.column));
    }
    if (m_going->statistics_target != m_base->statistics_target) {
      alter_staying(fmt::format("set statistics {}", m_going->statistics_target));
    }
    if (m_going->options != m_base->options) {
      if (!m_base->options.empty()) {
        alter_staying("reset (n_distinct, n_distinct_inherited)");
      }
      if (!m_going->options.empty()) {
        alter_staying("set (" + m_going->options + ")");
      }
    }
  }

  template <typename Object>
  void look_at(const std::vector<Object>& then, const std::vector<Object>& now, const char* what,
               const std::vector<std::string>* added, const std::set<std::string>& accepted) {
    for (const Object& object : then) {
      if (!has(m_drop.replaced, object.name) || !stands_alone(object)) {
        continue;  // contract does not put it back
      }
      const Object* found = find_named(now, object.name);
      if (found == nullptr || !same(object, *found)) {
        lose(fmt::format("{} {} of {} {}, and contract would put it back as it was at expand", what, object.name,
                         m_drop.table.display(), found == nullptr ? "is gone" : "was changed"));
      }
    }
    for (const Object& object : now) {
      const bool ours = added != nullptr && has(*added, object.name);
      if (stands_alone(object) && !ours && has(object.columns, m_drop.column) &&
          find_named(then, object.name) == nullptr && !accepted.contains(object.name)) {
        lose(fmt::format("{} {} of {} came after expand, and would go with \"{}\"", what, object.name,
                         m_drop.table.display(), m_drop.column));
      }
    }
  }

  const ColumnDrop& m_drop;
  const Table& m_then;
  const Table& m_now;
  Drift& m_drift;
  const Column* m_old;   ///< as it was, where it is the one that goes
  const Column* m_base;  ///< what both columns were made equal to at expand
  const Column* m_going;
  const Column* m_staying;
};

}  // namespace

Drift find_drift(const Recipe& recipe, const Tables& then, const Tables& now, const std::set<std::string>& accepted) {
  Drift drift;
  for (const ColumnDrop& drop : recipe.drops) {
    const auto before = then.find(drop.table);
    const auto after = now.find(drop.table);
    if (drop.successor.empty() || before == then.end() || after == now.end()) {
      continue;
    }
    const auto added = std::ranges::find(recipe.added, drop.table, &AddedObjects::table);
    Replacement(drop, before->second, after->second, drift)
        .look(added == recipe.added.end() ? nullptr : &*added, accepted);
  }
  return drift;
}

}  // namespace ecmigrate
