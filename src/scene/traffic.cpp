#include "ecmigrate/scene/traffic.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <thread>

#include "client.hpp"
#include "meter.hpp"
#include "shop.hpp"

namespace ecmigrate::scene {

namespace {

Shape shape_of(const std::string& name) {
  return name == "new" ? Shape::new_shape : Shape::old_shape;
}

}  // namespace

struct Traffic::State {
  TrafficOptions options;
  std::vector<std::unique_ptr<Client>> clients;
  std::vector<std::jthread> threads;

  Meter all;
  std::array<Meter, 2> of_shape;

  std::mutex mutex;  ///< of `started`, `serving` and `under_way`
  std::condition_variable answered;
  bool started = false;
  std::vector<Shape> serving;
  std::array<int, 2> under_way{};
  SteadyClock::time_point begin;
  std::atomic<std::int64_t> next{0};  ///< number of the next request to arrive
  bool stopped = false;

  [[nodiscard]] SteadyClock::time_point arrival_of(std::int64_t number) const {
    return begin + std::chrono::duration_cast<SteadyClock::duration>(
                       std::chrono::duration<double>(static_cast<double>(number) / options.rate));
  }

  [[nodiscard]] Shape begin_request(std::int64_t number) {
    const std::lock_guard lock(mutex);
    const Shape shape = serving[static_cast<std::size_t>(number) % serving.size()];
    ++under_way[static_cast<std::size_t>(shape)];
    return shape;
  }

  void end_request(Shape shape) {
    {
      const std::lock_guard lock(mutex);
      --under_way[static_cast<std::size_t>(shape)];
    }
    answered.notify_all();
  }

  /// False when a stop was requested before.
  static bool wait_until(SteadyClock::time_point moment, const std::stop_token& stop) {
    std::mutex alone;
    std::condition_variable_any woken;
    std::unique_lock lock(alone);
    woken.wait_until(lock, stop, moment, [] { return false; });
    return !stop.stop_requested();
  }

  void fail(Shape shape, SteadyClock::time_point arrival, const std::string& error, bool given_up) {
    all.failed(arrival, error, given_up);
    of_shape[static_cast<std::size_t>(shape)].failed(arrival, error, given_up);
  }

  void make(Client& client, Shape shape, SteadyClock::time_point arrival) {
    const auto deadline = options.timeout.count() > 0 ? arrival + options.timeout : SteadyClock::time_point::max();
    try {
      if (SteadyClock::now() >= deadline) {
        throw GivenUp(fmt::format("no connection of the application was free within {} ms", options.timeout.count()));
      }
      client.request(shape, deadline);
      all.answered(arrival);
      of_shape[static_cast<std::size_t>(shape)].answered(arrival);
    } catch (const GivenUp& error) {
      fail(shape, arrival, error.what(), true);
    } catch (const Error& error) {
      fail(shape, arrival, error.what(), false);
    }
  }

  /// Makes requests as they arrive. One that arrived before the stop and was waiting for a connection for too long by
  /// then has failed all the same; what could still have been answered in time is not counted.
  void work(Client& client, const std::stop_token& stop) {
    for (;;) {
      const std::int64_t number = next++;
      const auto arrival = arrival_of(number);
      const bool in_time = wait_until(arrival, stop);
      if (!in_time && (options.timeout.count() == 0 || SteadyClock::now() < arrival + options.timeout)) {
        return;
      }
      const Shape shape = begin_request(number);
      make(client, shape, arrival);
      end_request(shape);
    }
  }

  void read_back(Client& client) {
    try {
      all.read_back(client.read_back());
    } catch (const Error& error) {
      all.failed(SteadyClock::now(), fmt::format("reading everything back: {}", error.what()), false);
    }
  }
};

Traffic::Traffic(TrafficOptions options)
    : Traffic(options, [shop = std::make_shared<Shop>(options)](int number) { return shop->connect(number); }) {}

Traffic::Traffic(TrafficOptions options, const MakeClient& make_client) : m_state(std::make_unique<State>()) {
  m_state->options = std::move(options);
  m_state->serving = {shape_of(m_state->options.shape)};
  for (int number = 0; number < m_state->options.connections; ++number) {
    m_state->clients.push_back(make_client(number));
  }
}

Traffic::~Traffic() {
  stop();
}

void Traffic::start() {
  State& state = *m_state;
  const std::lock_guard lock(state.mutex);
  state.started = true;
  state.begin = SteadyClock::now();
  state.all.begin();
  for (const Shape shape : state.serving) {
    state.of_shape[static_cast<std::size_t>(shape)].begin();
  }
  for (const auto& client : state.clients) {
    state.threads.emplace_back([&state, &client](const std::stop_token& stop) { state.work(*client, stop); });
  }
}

void Traffic::serve(const std::vector<Shape>& shapes) {
  State& state = *m_state;
  const std::lock_guard lock(state.mutex);
  for (const Shape shape : {Shape::old_shape, Shape::new_shape}) {
    const bool before = std::ranges::find(state.serving, shape) != state.serving.end();
    const bool after = std::ranges::find(shapes, shape) != shapes.end();
    Meter& meter = state.of_shape[static_cast<std::size_t>(shape)];
    if (state.started && before != after) {
      after ? meter.begin() : meter.end();
    }
  }
  state.serving = shapes;
}

void Traffic::drain(Shape shape) const {
  std::unique_lock lock(m_state->mutex);
  m_state->answered.wait(lock, [&] { return m_state->under_way[static_cast<std::size_t>(shape)] == 0; });
}

void Traffic::stop() {
  State& state = *m_state;
  if (!state.started || state.stopped) {
    return;
  }
  state.stopped = true;
  for (std::jthread& thread : state.threads) {
    thread.request_stop();
  }
  state.threads.clear();  // waits for them
  state.all.end();
  for (Meter& meter : state.of_shape) {
    meter.end();
  }
  for (const auto& client : state.clients) {
    state.read_back(*client);
  }
}

TrafficStats Traffic::stats() const {
  return m_state->all.stats();
}

TrafficStats Traffic::stats(Shape shape) const {
  return m_state->of_shape[static_cast<std::size_t>(shape)].stats();
}

}  // namespace ecmigrate::scene
