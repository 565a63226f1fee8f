#pragma once

#include <cstdio>
#include <memory>

#include "ecmigrate/base/clock.hpp"
#include "ecmigrate/report/report.hpp"

namespace ecmigrate {

/// make_terminal_report with the clock that paces progress lines off a terminal; it must outlive the observer.
std::unique_ptr<Observer> make_terminal_report(const ReportOptions& options, std::FILE* out, std::FILE* err,
                                               const Clock& clock);

/// make_json_report with the clock by which progress is told once a second; it must outlive the observer.
std::unique_ptr<Observer> make_json_report(std::FILE* out, const Clock& clock);

}  // namespace ecmigrate
