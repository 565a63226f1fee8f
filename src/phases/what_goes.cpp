#include "ecmigrate/phases/what_goes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ecmigrate/base/text.hpp"

namespace ecmigrate {

namespace {

std::string column_that_goes(Session& session, const ColumnDrop& drop) {
  const pg::Rows rows = session.connection().query(
      "select sum(greatest(c.reltuples, 0) * (1 - coalesce(s.null_frac, 0))), "
      "sum(greatest(c.reltuples, 0) * (1 - coalesce(s.null_frac, 0)) * coalesce(s.avg_width, 0)) "
      "from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace "
      "left join pg_catalog.pg_stats s on s.schemaname = n.nspname and s.tablename = c.relname and s.attname = $2 "
      "and not s.inherited where c.relkind = 'r' and (c.oid = $1::pg_catalog.regclass or c.oid in (select relid from "
      "pg_catalog.pg_partition_tree($1::pg_catalog.regclass)))",
      {drop.table.sql(), drop.column});
  const std::string name = fmt::format("{}.{}", drop.table.display(), drop.column);
  const auto values = rows.is_null(0, 0) ? 0 : std::llround(rows.number(0, 0));
  if (values == 0) {
    return name;
  }
  // Without statistics of the column its width is not known.
  const double bytes = rows.number(0, 1);
  return fmt::format("{}  about {} values{}", name, with_thousands(values),
                     bytes > 0 ? ", " + format_bytes(bytes) : "");
}

/// A column that the migration itself added: a rename's second name.
bool is_ours(const Recipe& recipe, const ColumnDrop& drop) {
  return std::ranges::any_of(recipe.added, [&](const AddedObjects& added) {
    return added.table == drop.table && std::ranges::find(added.columns, drop.column) != added.columns.end();
  });
}

}  // namespace

std::string connected_now(Session& session) {
  constexpr int k_most = 8;
  const pg::Rows rows = session.connection().query(
      "select coalesce(nullif(application_name, ''), 'without application_name') as who, count(*) from "
      "pg_catalog.pg_stat_activity where datname = pg_catalog.current_database() and backend_type = 'client backend' "
      "and "
      "application_name not like 'ecmigrate%' group by 1 order by 2 desc, 1");
  std::vector<std::string> who;
  for (int row = 0; row < std::min(rows.size(), k_most); ++row) {
    who.push_back(fmt::format("{} ({})", abbreviate(rows.text(row, 0), 60), rows.integer(row, 1)));
  }
  if (rows.size() > k_most) {
    who.push_back(fmt::format("and {} more", rows.size() - k_most));
  }
  return who.empty() ? "nobody else" : join(who, ", ");
}

std::vector<std::string> what_goes(Session& session, const Recipe& recipe) {
  std::vector<std::string> lines;
  for (const ColumnDrop& drop : recipe.drops) {
    if (!drop.type_change && !is_ours(recipe, drop)) {
      lines.push_back(column_that_goes(session, drop));
    }
  }
  if (std::ranges::any_of(recipe.contract, [](const Step& step) { return is_plans_own_sql(step); })) {
    lines.emplace_back("whatever the plan's own sql of contract takes away");
  }
  return lines;
}

}  // namespace ecmigrate
