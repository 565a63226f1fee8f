#include "workers.hpp"

namespace ecmigrate::serve {

Workers::Workers(std::size_t count) {
  for (std::size_t number = 0; number < count; ++number) {
    m_threads.emplace_back([this] { work(); });
  }
}

Workers::~Workers() {
  {
    const std::scoped_lock lock(m_mutex);
    m_ending = true;
  }
  m_wake.notify_all();
}

void Workers::give(std::function<void()> work) {
  {
    const std::scoped_lock lock(m_mutex);
    m_work.push_back(std::move(work));
  }
  m_wake.notify_one();
}

void Workers::work() {
  for (;;) {
    std::function<void()> work;
    {
      std::unique_lock lock(m_mutex);
      m_wake.wait(lock, [this] { return m_ending || !m_work.empty(); });
      if (m_work.empty()) {
        return;
      }
      work = std::move(m_work.front());
      m_work.pop_front();
    }
    work();
  }
}

}  // namespace ecmigrate::serve
