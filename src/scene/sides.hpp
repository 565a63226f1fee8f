#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "app_table.hpp"
#include "ecmigrate/model/plan.hpp"
#include "ecmigrate/scene/compare.hpp"
#include "naive.hpp"

namespace ecmigrate::scene {

/// The application gives a request up after this time.
inline constexpr std::chrono::milliseconds k_application_timeout{1'000};
/// How long the transaction stays open that has read the table.
inline constexpr std::chrono::milliseconds k_reader{5'000};

/// What both ways have in common.
struct Setting {
  const Plan& plan;
  std::shared_ptr<const std::vector<AppTable>> tables;
  const CompareOptions& options;
  std::stop_token stop;
  bool reader = false;  ///< a transaction that has read the table is open whenever a lock is asked for that stops reads
};

/// Each on a database of its own that has the tables of the setting.
Side run_expand_contract(const Setting& setting, const std::string& conninfo);
Side run_naive_side(const Setting& setting, const NaiveWay& way, const std::string& conninfo);

}  // namespace ecmigrate::scene
