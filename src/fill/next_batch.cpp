#include "next_batch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "ecmigrate/fill/relation_rows.hpp"

namespace ecmigrate {

namespace {

/// The greatest line pointer of a row on the page that the connection sees; 0 without one.
int last_line(pg::Connection& connection, const QualifiedName& relation, std::int64_t page) {
  const pg::Rows rows =
      connection.query(fmt::format("select this.ctid from only {} as this where {} order by this.ctid desc limit 1",
                                   relation.sql(), page_range(page, page + 1)));
  const std::string ctid = rows.size() == 0 ? "(0,0)" : rows.text(0, 0);
  return std::stoi(ctid.substr(ctid.find(',') + 1));
}

}  // namespace

WindowRecord next_batch(pg::Connection& connection, const QualifiedName& relation, WindowRecord& window,
                        const BatchSizer& sizer, std::int64_t most_pages) {
  if (sizer.size() < 1 && window.last_line == 0) {
    window.last_line = last_line(connection, relation, window.page);
  }
  return window.last_line > 0 ? after_part(window, sizer.size())
                              : after_batch(window, batch_end(window, std::min(sizer.pages(), most_pages)));
}

std::chrono::milliseconds batch_timeout(const WindowRecord& before, const WindowRecord& after,
                                        std::chrono::milliseconds target) {
  return lines_between(before, after) == 1 ? std::chrono::milliseconds(0) : longest_batch(target);
}

std::chrono::milliseconds batch_lock_timeout(std::chrono::milliseconds target,
                                             std::chrono::milliseconds deadlock_timeout) {
  return std::max(std::chrono::milliseconds(1), std::min(target, deadlock_timeout / 2));
}

}  // namespace ecmigrate
