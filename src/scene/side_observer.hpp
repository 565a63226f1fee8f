#pragma once

#include "ecmigrate/model/event.hpp"
#include "ecmigrate/scene/compare.hpp"
#include "ecmigrate/scene/traffic.hpp"

namespace ecmigrate::scene {

/// Takes the figures of a side from the events of its phases.
class SideObserver final : public Observer {
 public:
  /// `side` has to outlive it.
  explicit SideObserver(Side& side) : m_side(side) {}

  void on(const Event& event) override;

 private:
  void add(const event::StepFinished& step);

  Side& m_side;
  double m_failed_ms = 0;  ///< tries of the present step
  double m_longest_failed_ms = 0;
  double m_rows = 0;
  double m_walk_ms = 0;
};

/// Completes a side whose migration is over with what its traffic felt, and what its locks come to.
void add_traffic(Side& side, const TrafficStats& stats);

}  // namespace ecmigrate::scene
