#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "picture.hpp"

namespace ecmigrate::serve {

/// How long statements took, in seconds, as Prometheus counts it.
struct Histogram {
  static constexpr std::array<double, 8> k_bounds{0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3};
  std::array<std::int64_t, k_bounds.size()> at_most{};
  std::int64_t count = 0;
  double sum = 0;

  void observe(double seconds);
};

/// The text of /metrics, but for the server's own part: https://prometheus.io/docs/instrumenting/exposition_formats/
std::string metrics_text(const Picture& picture, const Histogram& statements);

}  // namespace ecmigrate::serve
