#include "ecmigrate/serve/hub.hpp"

#include <fmt/format.h>

#include <charconv>

#include "secrets.hpp"

namespace ecmigrate::serve {

Hub::Hub() : m_boot(random_hex(4)) {}

void Hub::publish(const Message& message) {
  {
    const std::scoped_lock lock(m_mutex);
    ++m_last;
    m_kept.push_back({message.migration, message.current,
                      std::make_shared<const std::string>(server_sent_event(message.type, id(m_last), message.data))});
    if (m_kept.size() > k_kept) {
      m_kept.pop_front();
    }
  }
  m_news.notify_all();
}

std::string Hub::id(std::uint64_t number) const {
  return fmt::format("{}-{}", m_boot, number);
}

std::uint64_t Hub::last() const {
  const std::scoped_lock lock(m_mutex);
  return m_last;
}

std::string Hub::last_id() const {
  return id(last());
}

std::optional<std::uint64_t> Hub::resume_after(std::string_view id) const {
  if (!id.starts_with(m_boot) || !id.substr(m_boot.size()).starts_with('-')) {
    return std::nullopt;
  }
  id.remove_prefix(m_boot.size() + 1);
  std::uint64_t number = 0;
  const auto read = std::from_chars(id.data(), id.data() + id.size(), number);
  const std::scoped_lock lock(m_mutex);
  if (read.ec != std::errc() || read.ptr != id.data() + id.size() || number > m_last || number + 1 < oldest()) {
    return std::nullopt;
  }
  return number;
}

Hub::News Hub::wait(std::uint64_t after, const std::string& migration, std::chrono::milliseconds longest) {
  std::unique_lock lock(m_mutex);
  m_news.wait_for(lock, longest, [&] { return m_ended || m_last > after; });
  News news;
  news.last = m_last;
  news.ended = m_ended;
  if (after + 1 < oldest()) {
    news.missed = true;
    return news;
  }
  for (std::size_t at = static_cast<std::size_t>(after + 1 - oldest()); at < m_kept.size(); ++at) {
    const Kept& kept = m_kept[at];
    if (kept.migration.empty() || (migration.empty() ? kept.current : kept.migration == migration)) {
      news.events.push_back(kept.event);
    }
  }
  return news;
}

void Hub::end() {
  {
    const std::scoped_lock lock(m_mutex);
    m_ended = true;
  }
  m_news.notify_all();
}

std::string server_sent_event(std::string_view type, std::string_view id, std::string_view data) {
  return id.empty() ? fmt::format("event: {}\ndata: {}\n\n", type, data)
                    : fmt::format("id: {}\nevent: {}\ndata: {}\n\n", id, type, data);
}

}  // namespace ecmigrate::serve
