#include <fmt/format.h>

#include <algorithm>

#include "api.hpp"

namespace ecmigrate::serve {

namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr milliseconds k_ping_every{5'000};
constexpr milliseconds k_look_every{1'000};
/// A browser whose stream broke comes back after this.
constexpr milliseconds k_retry{2'000};
constexpr int k_points = 720;
constexpr int k_events = 50;

/// One client's stream: called again and again by its worker until the client is gone or the server ends.
class EventStream {
 public:
  EventStream(Content& content, Hub& hub, std::string migration, std::optional<std::uint64_t> after,
              std::shared_ptr<void> place)
      : m_content(content), m_hub(hub), m_migration(std::move(migration)), m_after(after), m_place(std::move(place)) {}

  bool go_on(httplib::DataSink& sink) {
    m_content.look(m_migration);
    std::string text = std::exchange(m_greeting, {});
    if (!m_after) {
      text += snapshot();
    }
    const auto until_ping = std::chrono::ceil<milliseconds>(m_next_ping - Clock::now());
    const milliseconds longest = text.empty() ? std::clamp(until_ping, milliseconds(0), k_look_every) : milliseconds(0);
    const Hub::News news = m_hub.wait(*m_after, m_migration, longest);
    for (const auto& event : news.events) {
      text += *event;
    }
    m_after = news.missed ? std::nullopt : std::optional(news.last);
    if (Clock::now() >= m_next_ping) {
      m_next_ping += k_ping_every;
      text += server_sent_event("ping", "", "{}");
    }
    if (news.ended) {
      text += server_sent_event("bye", "", "{}");
    }
    const bool there = sink.is_writable() && (text.empty() || sink.write(text.data(), text.size()));
    if (there && news.ended) {
      sink.done();
    }
    return there;
  }

 private:
  std::string snapshot() {
    // The number first: what is published while the documents are read is sent again, and none is left out.
    m_after = m_hub.last();
    const auto part = [](const std::optional<std::string>& document) { return document.value_or("null"); };
    const std::string data =
        fmt::format(R"({{"state":{},"series":{},"events":{},"locks":{}}})", part(m_content.state(m_migration)),
                    part(m_content.series(m_migration, k_points)), part(m_content.events(m_migration, 0, k_events)),
                    part(m_content.locks(m_migration)));
    return server_sent_event("snapshot", m_hub.id(*m_after), data);
  }

  Content& m_content;
  Hub& m_hub;
  std::string m_migration;
  std::optional<std::uint64_t> m_after;
  std::shared_ptr<void> m_place;
  std::string m_greeting = fmt::format("retry: {}\n\n", k_retry.count());
  Clock::time_point m_next_ping = Clock::now() + k_ping_every;
};

/// Where the client wants to go on. A browser that comes back by itself says so in a header, and asks for the same
/// address as before: the header is the newer one.
std::string resume_id(const httplib::Request& request) {
  return request.has_header("Last-Event-ID") ? request.get_header_value("Last-Event-ID")
                                             : request.get_param_value("after");
}

}  // namespace

void add_stream(Routes& routes, Content& content, Hub& hub, ServerMetrics& metrics) {
  routes["/api/stream"].get = [&](const httplib::Request& request, httplib::Response& response) {
    const std::string migration = request.get_param_value("m");
    content.look(migration);
    if (!content.state(migration)) {
      return refuse(response,
                    {404, "not_found", "there is no migration of that name", "/api/state lists those that there are."});
    }
    auto place = metrics.take_stream();
    if (!place) {
      return refuse(response, {503, "too_many_streams", "as many streams are open as this server allows",
                               "Ask for /api/state every two seconds instead, or start it with more --max-streams."});
    }
    const auto stream =
        std::make_shared<EventStream>(content, hub, migration, hub.resume_after(resume_id(request)), std::move(place));
    response.status = 200;
    response.set_header("Cache-Control", "no-store");
    response.set_header("X-Accel-Buffering", "no");  // nginx would hold the events back
    response.set_chunked_content_provider(
        "text/event-stream", [stream](std::size_t, httplib::DataSink& sink) { return stream->go_on(sink); });
  };
}

}  // namespace ecmigrate::serve
