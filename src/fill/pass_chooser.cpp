#include "ecmigrate/fill/pass_chooser.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ecmigrate/base/text.hpp"

namespace ecmigrate {

namespace {

/// Below this a table is done before a second pass could use the room of the first.
constexpr std::int64_t k_small_table_pages = 64;
constexpr std::int64_t k_sample_pages = 16;
/// A new row's share of more bytes until the first window has shown it.
constexpr double k_usual_growth = 0.13;
/// Less than this share of the rows in place, and further passes are only scans.
constexpr double k_least_hot = 0.3;
constexpr std::int64_t k_telling_rows = 1000;

double row_bytes_of(const PageSample& sample) {
  return sample.rows == 0 ? 0 : sample.row_bytes / static_cast<double>(sample.rows);
}

}  // namespace

void PassChooser::begin(const RelationFacts& facts) {
  m_facts = facts;
  m_obstacle = indexed_new_column();
}

/// An index on a column that is being filled gets an entry for every row, so none can be rewritten in place.
std::string PassChooser::indexed_new_column() {
  const pg::Rows rows = m_session.connection().query(
      fmt::format("select a.attname, i.relname from pg_catalog.pg_depend d join pg_catalog.pg_class i on i.oid = "
                  "d.objid and i.relkind = 'i' "
                  "join pg_catalog.pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid "
                  "where d.classid = 'pg_catalog.pg_class'::regclass and d.refobjid = {} and a.attname = any ({}) "
                  "order by 1, 2 limit 1",
                  m_facts.oid, name_array(filled_columns(m_table))));
  return rows.size() == 0 ? std::string()
                          : fmt::format("{} has an index ({}), so no row can be rewritten in place", rows.text(0, 0),
                                        rows.text(0, 1));
}

/// Somebody who needs every version of the rows since long, so that no room is made.
std::string PassChooser::old_snapshot(const std::vector<int>& backends) {
  const auto holder = m_snapshots.look(m_session.connection(), backends);
  if (!holder || holder->age_ms < k_old_snapshot_ms) {
    return {};
  }
  return fmt::format("{} keeps all replaced rows for {} now, so they make no room", holder->text,
                     format_milliseconds(holder->age_ms));
}

PageSample PassChooser::sample(std::int64_t first, std::int64_t end) {
  PageSample sample;
  sample.pages = std::min(k_sample_pages, end - first);
  sample.page_bytes = m_facts.page_bytes;
  sample.indexes = m_facts.indexes;
  // From the middle: the first pages of a window may hold rows that the window before moved there.
  const std::int64_t from = first + (end - first - sample.pages) / 2;
  // Whole rows would be fetched from their TOAST table; their length is not what is on the page then.
  const std::string bytes = m_facts.toasted ? "0" : "pg_catalog.sum((pg_catalog.pg_column_size(this.*) + 7) & ~7)";
  const pg::Rows rows =
      m_session.connection().query(fmt::format("select count(*), {} from only {} as this where {}", bytes,
                                               m_relation.sql(), page_range(from, from + sample.pages)));
  sample.rows = rows.integer(0, 0);
  sample.row_bytes = rows.number(0, 1);
  return sample;
}

Passes PassChooser::choose(const WalkRecord& walk, std::int64_t first, std::int64_t end,
                           const std::vector<int>& backends) {
  Passes passes;
  if (walk.again) {
    passes.because = "every page is looked at once more";
  } else if (walk.pages < k_small_table_pages) {
    passes.because = "the table is small";
  } else {
    PageSample seen = sample(first, end);
    if (m_facts.toasted) {
      seen.row_bytes = static_cast<double>(seen.pages) * m_facts.page_bytes;  // full, as far as is known
    } else {
      m_row_bytes = row_bytes_of(seen);
    }
    passes = choose_passes(seen, m_growth.value_or(k_usual_growth),
                           m_obstacle.empty() ? old_snapshot(backends) : m_obstacle);
  }
  // The figures of a reason change from window to window; another reason is the news.
  std::string reason = passes.because;
  std::erase_if(reason, [](char c) { return c >= '0' && c <= '9'; });
  if (reason != m_told_reason) {
    m_told_reason = reason;
    m_session.report(event::Note{event::Note::Level::info,
                                 fmt::format("  backfill {}   {} {}: {}", m_relation.display(), passes.count,
                                             passes.count == 1 ? "pass" : "passes", passes.because)});
  }
  return passes;
}

void PassChooser::learn_from(const WindowRecord& window) {
  if (window.sweeping || window.written.rows < k_telling_rows) {
    return;
  }
  if (!m_growth && m_row_bytes > 0) {
    const PageSample after = sample(window.first, window.end);
    m_growth = std::max(0.0, row_bytes_of(after) / m_row_bytes - 1);
  }
  if (const double hot = window.written.hot_share(); window.passes > 1 && hot < k_least_hot) {
    m_obstacle = fmt::format("only {:.0f}% of the rows stayed on their pages", 100 * hot);
  }
}

}  // namespace ecmigrate
