#include "lock_need.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/store/lock_room.hpp"

namespace ecmigrate {

namespace {

/// What is left for everybody else.
constexpr double k_share = 0.8;

std::int64_t times(const std::string& text, std::string_view words) {
  std::int64_t count = 0;
  for (std::size_t at = 0; (at = text.find(words, at)) != std::string::npos; at += words.size()) {
    ++count;
  }
  return count;
}

/// Objects of one partition that a statement makes or drops, each under a lock of its own.
std::int64_t objects(const std::string& statement) {
  std::int64_t count = 0;
  for (const std::string_view words :
       {"create trigger ", "drop trigger ", "drop constraint ", "set not null", "drop column "}) {
    count += statement.starts_with("create or replace function ") ? 0 : times(statement, words);
  }
  return count;
}

std::int64_t locks_of(const Step& step, const std::map<QualifiedName, LockedObjects>& tables) {
  std::int64_t count = 0;
  for (const LockRequest& lock : step.locks) {
    const auto table = tables.find(lock.relation);
    if (table == tables.end()) {
      ++count;
      continue;
    }
    std::int64_t each = 1;
    for (const std::string& statement : step.sql) {
      each += statement.find(lock.relation.sql()) == std::string::npos ? 0 : objects(statement);
    }
    count += table->second.relations * each + table->second.indexes;
  }
  return count;
}

}  // namespace

std::optional<Missing> missing_lock_room(Session& session, const Recipe& recipe, Command refused) {
  std::map<QualifiedName, LockedObjects> tables;
  std::string about;
  for (const QualifiedName& table : recipe.tables) {
    std::vector<std::string> columns;
    for (const ColumnDrop& drop : recipe.drops) {
      if (drop.table == table) {
        columns.push_back(drop.column);
      }
    }
    const LockedObjects objects = read_locked_objects(session.connection(), table, columns);
    tables.emplace(table, objects);
    if (objects.relations > 1) {
      about += fmt::format("{}{} partitions of {}", about.empty() ? "" : ", ", with_thousands(objects.relations - 1),
                           table.display());
    }
  }
  std::int64_t need = 0;
  std::string where;
  for (const auto& [phase, steps] : {std::pair("expand", &recipe.expand), std::pair("contract", &recipe.contract)}) {
    for (const Step& step : *steps) {
      const std::int64_t locks = step.kind == Step::Kind::transaction ? locks_of(step, tables) : 0;
      if (locks > need) {
        need = locks;
        where = fmt::format("{}, {}", phase, step.title);
      }
    }
  }
  const LockRoom room = read_lock_room(session.connection());
  const auto all = static_cast<double>(room.per_transaction * room.transactions);
  const std::int64_t has = std::max<std::int64_t>(0, static_cast<std::int64_t>(k_share * all) - room.used);
  if (need <= has) {
    return std::nullopt;
  }
  const double setting = static_cast<double>(need + room.used) / k_share / static_cast<double>(room.transactions);
  return Missing{fmt::format("{}: holds about {} locks at once{}, and the server has room for {} "
                             "(max_locks_per_transaction = {})",
                             where, with_thousands(need), about.empty() ? "" : " for " + about, with_thousands(has),
                             room.per_transaction),
                 fmt::format("Set max_locks_per_transaction to {} or more, which needs a restart.",
                             static_cast<std::int64_t>(setting) + 1),
                 refused};
}

}  // namespace ecmigrate
