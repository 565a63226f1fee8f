#pragma once

#include "ecmigrate/pg/connection.hpp"

namespace ecmigrate {

/// How far the value of an expression depends on settings that each session may have its own of.
struct SettingDependence {
  bool time_zone = false;        ///< it says nothing about which zone is meant
  bool style = false;            ///< styles of dates, intervals, numbers and bytes in text
  std::string text_search = {};  ///< functions that take the session's text search configuration, for people
  std::string session = {};      ///< functions whose answer is about the session itself, for people
};

/// Of the only column of a temporary view, whose relations are all in sight.
SettingDependence read_setting_dependence(pg::Connection& connection, const std::string& view);

/// Literals with a backslash mean another text where standard_conforming_strings is off: written so that they mean the
/// same everywhere. `sql`: as the server prints it with that setting on.
std::string portable_literals(const std::string& sql);

}  // namespace ecmigrate
