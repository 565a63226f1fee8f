#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>

#include "demo_traffic.hpp"
#include "ecmigrate/scene/compare.hpp"

namespace ecmigrate::scene {

struct NaiveScene {
  std::int64_t rows = 0;
  std::string server;  ///< "15.20"
  Side side;
  Strip strip;  ///< as it was in the end
};

/// Hears how far it is.
struct NaiveListener {
  std::function<void()> begins;
  std::function<void()> committed;
};

/// The naive migration on a copy of the users, under traffic of its own. `traffic` is for the copy. Throws what the
/// database throws, pg::Stopped.
NaiveScene run_naive_scene(const std::string& conninfo, const std::string& plan_text, DemoTraffic& traffic,
                           const NaiveListener& listener, const std::stop_token& stop);

/// Of a traffic that a naive migration was committed under at that moment, if it was.
Strip strip_of_naive(const DemoTraffic& traffic, std::optional<Instant> committed);

/// The size of a table and of its indexes.
std::pair<std::int64_t, std::int64_t> bytes_of(pg::Connection& connection, const std::string& table);
double wal_position(pg::Connection& connection);

}  // namespace ecmigrate::scene
