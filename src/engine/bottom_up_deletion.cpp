#include "ecmigrate/engine/bottom_up_deletion.hpp"

#include <fmt/format.h>

#include "ecmigrate/base/quote.hpp"
#include "ecmigrate/base/text.hpp"

namespace ecmigrate {

namespace {

// The rows of a value are estimated as few rather than many: columns of one index are taken to be independent, nulls are
// not counted, and without statistics nothing is said.
constexpr const char* k_query = R"(
with keys as (
  select i.indexrelid, x.reltuples, a.attnum, a.attname, s.null_frac, a.attidentity, a.attgenerated,
    case when s.n_distinct > 0 then s.n_distinct when s.n_distinct < 0 then greatest(1, -s.n_distinct * c.reltuples) end as values
  from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  join pg_catalog.pg_class x on x.oid = i.indexrelid join pg_catalog.pg_am m on m.oid = x.relam and m.amname = 'btree'
  cross join lateral unnest(i.indkey::smallint[]) with ordinality k(attnum, position)
  left join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum and k.attnum > 0
  left join pg_catalog.pg_stats s on s.schemaname = n.nspname and s.tablename = c.relname and s.attname = a.attname and not s.inherited
  where i.indrelid = {0} and not i.indisunique and i.indexprs is null and k.position <= i.indnkeyatts)
select min(attname) filter (where attidentity <> 'a' and attgenerated = '' and attname <> all (array[{1}]::name[])
    and pg_catalog.has_column_privilege({0}::oid, attnum, 'update')
    and not exists (select from pg_catalog.pg_index u where u.indrelid = {0} and u.indisunique and keys.attnum = any (u.indkey))
    and not exists (select from pg_catalog.pg_trigger t where t.tgrelid = {0} and keys.attnum = any (t.tgattr)))
from keys group by indexrelid, reltuples
having pg_catalog.bool_and(values is not null) and reltuples * (1 - max(null_frac)) >= {2} * exp(sum(ln(values)))
order by 1)";

constexpr int k_many_rows = 10;

}  // namespace

std::vector<std::string> columns_set_to_themselves(pg::Connection& connection, std::int64_t relation_oid, const std::vector<std::string>& filled) {
  std::vector<std::string> quoted;
  for (const std::string& column : filled) {
    quoted.push_back(quote_literal(column));
  }
  const pg::Rows rows = connection.query(fmt::format(k_query, relation_oid, join(quoted, ", "), k_many_rows));
  std::vector<std::string> columns;
  for (int row = 0; row < rows.size(); ++row) {
    if (!rows.is_null(row, 0) && (columns.empty() || columns.back() != rows.text(row, 0))) {
      columns.push_back(rows.text(row, 0));
    }
  }
  return columns;
}

}  // namespace ecmigrate
