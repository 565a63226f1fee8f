#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace ecmigrate::traffic {

struct TrafficOptions {
  std::string shape;            ///< "old": full_name; "new": first_name and last_name
  std::string dbname;
  std::string wait_for_column;  ///< begin when the table has it
  double seconds = 0;           ///< 0: until stop() is called
  double rate = 100;            ///< requests per second, at most
};

struct TrafficReport {
  std::int64_t requests = 0;
  std::int64_t failed = 0;
  std::vector<std::string> errors;   ///< the first few different ones
  std::vector<double> milliseconds;  ///< of every statement, as the application waited for it
  std::int64_t checked = 0;          ///< rows read back at the end
  std::int64_t lost = 0;             ///< acknowledged writes that were not there
};

/// One version of the shop's application: writes and reads users in its own shape until the time is over, remembers
/// every write that the server acknowledged, and reads them all back. Throws Error{cannot_connect} at the start only;
/// later failures are counted.
TrafficReport run_application(const TrafficOptions& options);

/// What the application does to a user that exists.
enum class Update { name, first_column, last_column, other_column, taken_back };
inline constexpr std::array k_updates{Update::name, Update::first_column, Update::last_column, Update::other_column, Update::taken_back};

/// Makes one kind of update of every user there is, whoever wrote them before, and reads them all back.
TrafficReport update_every_user(const TrafficOptions& options, Update update);

/// Ends the run after the present request; may be called from a signal handler.
void stop();

}  // namespace ecmigrate::traffic
