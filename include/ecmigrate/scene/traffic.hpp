#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace ecmigrate::scene {

/// A version of an application, by the columns that it knows.
enum class Shape { old_shape, new_shape };

struct TrafficOptions {
  std::string shape = "old";  ///< "old": writes full_name; "new": first_name and last_name
  std::string conninfo;
  std::string table = "users";
  double rate = 200;    ///< requests that arrive a second, whether or not those before were answered
  int connections = 8;  ///< requests that can be under way at once; further ones wait for a free connection
  std::chrono::milliseconds timeout{0};  ///< after its arrival the application gives a request up; 0: it waits
};

/// Half a second of a version, by when requests ended.
struct Bar {
  std::int64_t t_ms = 0;  ///< its begin, since the epoch
  std::int64_t ok = 0;
  std::int64_t slow = 0;  ///< answered, but not within k_slow
  std::int64_t failed = 0;
  double slowest_ms = 0;
};
inline constexpr std::chrono::milliseconds k_slow{250};
inline constexpr std::chrono::milliseconds k_bar{500};
inline constexpr std::size_t k_most_bars = 120;

/// Times are as the user of the application has them: from the moment a request arrived, also where it then waited for
/// a connection. (A client that sends its next request only after the last answer would hardly notice an outage.)
struct TrafficStats {
  bool running = false;
  std::int64_t requests = 0;
  std::int64_t failed = 0;    ///< errors, and requests that were given up
  std::int64_t timeouts = 0;  ///< of these, given up
  double rate = 0;            ///< requests a second that ended in the last five seconds
  double p50_ms = 0;          ///< of all that ended, to one percent
  double p99_ms = 0;
  double slowest_ms = 0;
  double longest_gap_ms = 0;        ///< the longest time in which no request was answered, the present one included
  std::vector<std::string> errors;  ///< the first few different ones
  std::int64_t checked = 0;         ///< rows read back by stop()
  std::int64_t lost = 0;            ///< acknowledged writes that were not there, or not as they were written
  std::vector<Bar> bars;            ///< the last k_most_bars, without holes, oldest first
};

class Client;
/// Makes the application's side of one connection; `number` counts from 0.
using MakeClient = std::function<std::unique_ptr<Client>(int number)>;

/// An application at work on a database: requests arrive at a fixed rate and are made by its connections, each in a
/// thread.
class Traffic {
 public:
  /// The shop's application on its table of users. It remembers every write that the server acknowledged. Connects;
  /// throws Error{cannot_connect}.
  explicit Traffic(TrafficOptions options);
  /// Another application.
  Traffic(TrafficOptions options, const MakeClient& make_client);
  ~Traffic();
  Traffic(const Traffic&) = delete;
  Traffic& operator=(const Traffic&) = delete;

  /// The first request arrives at once. Call once.
  void start();
  /// From now on, requests are made by these versions in turn; options.shape until then. From any thread.
  void serve(const std::vector<Shape>& shapes);
  /// Waits until no request of that version is under way; call when it no longer serves.
  void drain(Shape shape) const;
  /// Waits for the requests under way, and reads back every write that was acknowledged. Harmless when repeated.
  void stop();

  /// So far; from any thread.
  [[nodiscard]] TrafficStats stats() const;
  /// Of one version.
  [[nodiscard]] TrafficStats stats(Shape shape) const;

 private:
  struct State;
  std::unique_ptr<State> m_state;
};

/// What the shop's application does to a user that exists.
enum class Update { name, first_column, last_column, other_column, taken_back };
inline constexpr std::array k_updates{Update::name, Update::first_column, Update::last_column, Update::other_column,
                                      Update::taken_back};

/// Makes one kind of update of every user there is, whoever wrote them before, and reads them all back.
TrafficStats update_every_user(const TrafficOptions& options, Update update);

}  // namespace ecmigrate::scene
