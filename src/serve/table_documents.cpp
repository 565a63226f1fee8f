#include "table_documents.hpp"

#include <algorithm>
#include <array>
#include <numeric>

namespace ecmigrate::serve {

namespace {

struct ColumnNow {
  std::string status;  ///< "in_place", "to_come", "gone", "changed"
  std::string name;
  Document type;
  Document nullable;
  std::optional<double> null_share;
};

ColumnNow column_now(const ColumnView& column, const MigrationPicture& migration) {
  ColumnNow now{"to_come", column.name, or_null(column.type), or_null(column.nullable), {}};
  const auto table = migration.tables.find(column.relation);
  if (table == migration.tables.end()) {
    now.status = migration.tables_at ? "gone" : "in_place";
    return now;
  }
  const bool same_table = column.oid == 0 || table->second.oid == column.oid;
  for (const auto& [number, facts] : table->second.columns) {
    if (!same_table || (column.oid == 0 ? facts.name != column.name : number != column.number)) {
      continue;
    }
    const bool changed = column.side == ColumnView::Side::kept &&
                         (facts.type != column.type || facts.nullable != column.nullable || facts.name != column.name);
    return {changed ? "changed" : "in_place", facts.name, facts.type, facts.nullable, facts.null_share};
  }
  const State state = migration.view ? migration.view->state : State::planned;
  const bool never_there =
      column.side == ColumnView::Side::new_shape && (column.number == 0 && state < State::expanded);
  now.status = never_there ? "to_come" : "gone";
  return now;
}

/// How many rows have a value, and how that is known. Never by counting.
Document population_of(const ColumnView& column, const ColumnNow& now, const MigrationPicture& picture) {
  if (now.status == "gone" || now.status == "to_come" || column.side == ColumnView::Side::kept) {
    return nullptr;
  }
  const auto table = picture.tables.find(column.relation);
  if (column.side == ColumnView::Side::new_shape && picture.view) {
    const MigrationView& view = *picture.view;
    const bool synced = !view.walks.empty() || view.state >= State::backfilled;
    if (view.state >= State::verified && view.state <= State::contracted && !view.verifications.empty()) {
      const std::int64_t rows =
          std::accumulate(view.verifications.begin(), view.verifications.end(), std::int64_t{0},
                          [](std::int64_t sum, const VerificationView& one) { return sum + one.rows; });
      return {{"percent", now.null_share && now.nullable == true ? 100 * (1 - *now.null_share) : 100.0},
              {"rows", rows},
              {"by", "verify"},
              {"at", utc_time(view.verifications.front().at)}};
    }
    if (synced) {
      const std::int64_t rows =
          std::accumulate(view.walks.begin(), view.walks.end(), std::int64_t{0},
                          [](std::int64_t sum, const WalkView& walk) { return sum + walk.written.rows; });
      return {{"percent", or_null(backfill_percent(view))},
              {"rows", rows},
              {"by", "journal"},
              {"at", utc_time(view.progress.empty() ? view.changed_at : view.progress.front().at)}};
    }
    return {{"percent", 0.0}, {"rows", 0}, {"by", "journal"}, {"at", utc_time(view.changed_at)}};
  }
  if (table == picture.tables.end() || !table->second.rows) {
    return nullptr;
  }
  // A column that may not be null is full; for another the planner's sample says how many are.
  if (now.nullable == true && !now.null_share) {
    return {{"percent", nullptr},
            {"rows", *table->second.rows},
            {"by", "estimate"},
            {"at", time_or_null(picture.tables_at)}};
  }
  const double filled = now.nullable == true ? 1 - *now.null_share : 1.0;
  return {{"percent", 100 * filled},
          {"rows", static_cast<std::int64_t>(filled * static_cast<double>(*table->second.rows))},
          {"by", "estimate"},
          {"at", time_or_null(picture.tables_at)}};
}

/// Those of the shape, and those that somebody has added to its tables since.
std::vector<ColumnView> shown_columns(const MigrationPicture& picture) {
  std::vector<ColumnView> columns = picture.shape->columns;
  for (const auto& [relation, table] : picture.tables) {
    for (const auto& [number, facts] : table.columns) {
      const bool known = std::ranges::any_of(picture.shape->columns, [&](const ColumnView& column) {
        return column.relation == relation &&
               (column.oid == 0 ? column.name == facts.name : column.oid == table.oid && column.number == number);
      });
      if (!known) {
        ColumnView added;
        added.relation = relation;
        added.oid = table.oid;
        added.number = number;
        added.name = facts.name;
        added.type = facts.type;
        added.nullable = facts.nullable;
        columns.push_back(std::move(added));
      }
    }
  }
  return columns;
}

}  // namespace

Document columns_document(const MigrationPicture& picture) {
  static constexpr std::array<const char*, 3> k_sides{"kept", "old", "new"};
  Document list = Document::array();
  if (!picture.shape) {
    return list;
  }
  for (const ColumnView& column : shown_columns(picture)) {
    const ColumnNow now = column_now(column, picture);
    const bool gone = now.status == "gone";
    std::optional<Instant> at;
    if (gone && picture.view) {
      at = entered(*picture.view, column.side == ColumnView::Side::new_shape ? State::rolled_back : State::contracted);
    }
    const bool over = picture.view && picture.view->state == State::contracted;
    list.push_back({{"relation", column.relation.display()},
                    {"name", gone ? column.name : now.name},
                    {"side", k_sides[static_cast<std::size_t>(column.side)]},
                    {"type", now.type},
                    {"nullable", now.nullable},
                    {"status", now.status},
                    {"fate", over || gone ? std::string() : column.fate},
                    {"at", time_or_null(at)},
                    {"population", population_of(column, now, picture)}});
  }
  return list;
}

Document triggers_document(const MigrationPicture& picture) {
  Document list = Document::array();
  if (!picture.shape) {
    return list;
  }
  for (const SyncTrigger& trigger : picture.shape->triggers) {
    const auto table = picture.tables.find(trigger.table);
    std::string status = "removed";
    if (!picture.view || picture.view->state < State::expanded) {
      status = "to_come";
    } else if (picture.view->state < State::contracting) {
      status = "enabled";
      for (const std::string& name : trigger.names) {
        if (table == picture.tables.end() || !table->second.triggers.contains(name)) {
          status = "missing";
        } else if (table->second.triggers.at(name) == 'D' || table->second.triggers.at(name) == 'R') {
          status = "disabled";
        }
      }
    }
    list.push_back({{"relation", trigger.table.display()}, {"status", status}});
  }
  return list;
}

Document sample_document(const MigrationPicture& picture, const JournalContentOptions& options) {
  if (!picture.shape || !picture.shape->sampled) {
    return nullptr;
  }
  Document columns = Document::array();
  for (const std::string& name : picture.shape->key) {
    columns.push_back({{"name", name}, {"side", "key"}, {"gone", false}});
  }
  for (const std::string& name : picture.sample_columns) {
    const auto known = std::ranges::find_if(picture.shape->columns, [&](const ColumnView& column) {
      return column.relation == *picture.shape->sampled && column_now(column, picture).name == name &&
             column.side != ColumnView::Side::kept;
    });
    columns.push_back(
        {{"name", name},
         {"side", known != picture.shape->columns.end() && known->side == ColumnView::Side::old_shape ? "old" : "new"},
         {"gone", false}});
  }
  Document rows = Document::array();
  for (const SampleRow& row : picture.sample) {
    static constexpr std::array<const char*, 4> k_compared{"equal", "waits for backfill", "differs", ""};
    Document values = Document::array();
    for (const auto& value : row.values) {
      values.push_back(or_null(value));
    }
    rows.push_back({{"values", values}, {"compared", k_compared[static_cast<std::size_t>(row.compared)]}});
  }
  const std::string skipped =
      options.show_sample
          ? (picture.sample_at || !picture.sample_skipped.empty() ? picture.sample_skipped : "not read yet")
          : "hidden: rows are personal data, and this page is not on loopback (--show-data shows them)";
  return {{"at", time_or_null(picture.sample_at)},
          {"relation", picture.shape->sampled->display()},
          {"skipped", text_or_null(skipped)},
          {"columns", columns},
          {"rows", rows}};
}

}  // namespace ecmigrate::serve
