#pragma once

#include <memory>
#include <vector>

#include "client.hpp"
#include "ecmigrate/scene/traffic.hpp"

namespace ecmigrate::scene {

/// The shop's application: customers register, change their name or something else, change their mind, are read, leave.
class Shop {
 public:
  explicit Shop(TrafficOptions options) : m_options(std::move(options)) {}
  /// One of its connections; the first looks how many users there are.
  std::unique_ptr<Client> connect(int number);

 private:
  TrafficOptions m_options;
  std::int64_t m_seeded = -1;  ///< users that were there before; -1: not asked yet
};

}  // namespace ecmigrate::scene
