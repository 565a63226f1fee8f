#pragma once

#include <cstdio>
#include <memory>
#include <string>

#include "ecmigrate/model/event.hpp"

namespace ecmigrate {

struct ReportOptions {
  bool json = false;
  bool quiet = false;
  bool verbose = false;
};

/// Text for people: results to `out`, progress, warnings and hints to `err`. A progress line is repainted on a
/// terminal, and is a plain line at most every ten seconds off one; colours only on a terminal without NO_COLOR.
/// The files must outlive the observer. Safe to call from several threads. A closed `out` is ignored: the migration
/// goes on.
std::unique_ptr<Observer> make_terminal_report(const ReportOptions& options, std::FILE* out, std::FILE* err);

/// One JSON object a line on `out`, nothing else; the last is {"type":"result",…}. Times in milliseconds as numbers,
/// instants as RFC 3339 UTC.
std::unique_ptr<Observer> make_json_report(std::FILE* out);

}  // namespace ecmigrate
