#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "ecmigrate/op/draft.hpp"

/// The statements of the sync trigger's functions, as whole lines of PL/pgSQL; sync_function.cpp makes the triggers
/// that call them. docs/sync.md says what they do in every case.
namespace ecmigrate {

/// Notes when the old version writes: once a second and session, as that is what a write can pay for. In a sequence, as
/// a row would make the writers wait for each other; by setval, since nextval would change lastval() of the
/// application; and logged, as a server that takes over has to have it (unlogged sequences are not even readable
/// there). It works with the rights of whoever writes the table, and must not fail a write for want of them, or because
/// somebody dropped the sequence: then the write is not noted.
class UseNoter {
 public:
  UseNoter(QualifiedName sequence, const std::string& id);

  /// Whole lines of PL/pgSQL. `used`: an expression, the old version writes.
  [[nodiscard]] std::string statement(int depth, const std::string& used) const;

  static constexpr std::string_view k_now =
      "(pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) operator(pg_catalog.*) 1000)::bigint";

 private:
  QualifiedName m_sequence;
  std::string m_setting;
};

/// O may be made from N before the application's triggers run: from N alone, as they may fill other columns.
bool can_be_early(const Mapping& mapping);

/// `noter`: where the writes by old columns are noted, if they are.
std::string insert_body(const TableDraft& draft, const std::optional<UseNoter>& noter);
std::string update_body(const TableDraft& draft, const std::optional<UseNoter>& noter);

/// For the application's own BEFORE triggers, which know the old columns alone: where the new version writes, O is made
/// from N before they run. Nothing is made from O here, as they may still change it, and a row that waits is left to
/// the trigger that fires last.
std::string early_insert_body(const TableDraft& draft);
std::string early_update_body(const TableDraft& draft);
/// When the two have something to do.
std::string early_insert_condition(const Mapping& mapping);
std::string early_update_condition(const Mapping& mapping);

}  // namespace ecmigrate
