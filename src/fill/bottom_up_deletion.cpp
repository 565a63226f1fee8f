#include "ecmigrate/fill/bottom_up_deletion.hpp"

#include <fmt/format.h>

#include "ecmigrate/base/quote.hpp"

namespace ecmigrate {

namespace {

// How many rows a value has is told by the size of the index, not by the planner's n_distinct: that is far too low
// where the rows of a value stand side by side, as ANALYZE then finds them in one page of its sample. A value has a
// tuple of about 16 bytes with its line pointer and the key, and 6 bytes for each of its rows
// (src/backend/access/nbtree/README, "Notes about deduplication"); pages are full to 90 %. A looser index, or one that
// cannot deduplicate, seems to have fewer.
constexpr const char* k_query = R"(
with keys as (
  select i.indexrelid, i.indisunique or i.indexprs is not null as other, x.reltuples, a.attnum, a.attname, a.attidentity, a.attgenerated, s.avg_width
  from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  join pg_catalog.pg_class x on x.oid = i.indexrelid join pg_catalog.pg_am m on m.oid = x.relam and m.amname = 'btree'
  cross join lateral unnest(i.indkey::smallint[]) with ordinality k(attnum, position)
  left join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum and k.attnum > 0
  left join pg_catalog.pg_stats s on s.schemaname = n.nspname and s.tablename = c.relname and s.attname = a.attname and not s.inherited
  where i.indrelid = {0} and k.position <= i.indnkeyatts),
crowded as (
  select indexrelid from keys group by indexrelid, other, reltuples
  having not other and reltuples > 0 and count(avg_width) = count(*)
    and {2} * (0.9 * pg_catalog.pg_relation_size(indexrelid) / reltuples - 6) <= 16 + 8 * ceil(sum(avg_width) / 8.0))
select min(attname) filter (where attidentity <> 'a' and attgenerated = '' and attname <> all ({1})
    and pg_catalog.has_column_privilege({0}::oid, attnum, 'update')
    and not exists (select from keys o where o.attnum = keys.attnum and o.indexrelid not in (select indexrelid from crowded))
    and not exists (select from pg_catalog.pg_depend d join pg_catalog.pg_index e on e.indexrelid = d.objid and e.indexprs is not null
      where d.classid = 'pg_catalog.pg_class'::regclass and d.refobjid = {0} and d.refobjsubid = keys.attnum)
    and not exists (select from pg_catalog.pg_trigger t where t.tgrelid = {0} and keys.attnum = any (t.tgattr)))
from keys where indexrelid in (select indexrelid from crowded) group by indexrelid
order by 1)";

constexpr int k_many_rows = 10;

}  // namespace

std::vector<std::string> columns_set_to_themselves(pg::Connection& connection, std::int64_t relation_oid,
                                                   const std::vector<std::string>& filled) {
  const pg::Rows rows = connection.query(fmt::format(k_query, relation_oid, name_array(filled), k_many_rows));
  std::vector<std::string> columns;
  for (int row = 0; row < rows.size(); ++row) {
    if (!rows.is_null(row, 0) && (columns.empty() || columns.back() != rows.text(row, 0))) {
      columns.push_back(rows.text(row, 0));
    }
  }
  return columns;
}

}  // namespace ecmigrate
