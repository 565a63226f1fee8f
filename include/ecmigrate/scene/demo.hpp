#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>

#include "ecmigrate/serve/content.hpp"
#include "ecmigrate/serve/hub.hpp"
#include "ecmigrate/serve/journal_content.hpp"

namespace ecmigrate::scene {

struct DemoOptions {
  std::filesystem::path folder;  ///< of the server that it starts
  std::string dbname;            ///< a database that is there instead; empty: a server of its own
  std::int64_t rows = 200'000;   ///< users, where they have to be made
};

/// A shop's database and its application in two versions, and what a visitor of the page can do with them: run each
/// phase of a migration, write, be in the way, run the naive way on a copy, begin again. It goes on where the database
/// stands.
class Demo final : public serve::Controls {
 public:
  /// Starts the server, makes the users where there are none, starts the traffic. Throws what these throw,
  /// Error{refused} for a database with tables that are not the demo's, pg::Stopped. The hub must outlive it.
  Demo(DemoOptions options, serve::Hub& hub, std::stop_token stop);
  /// Ends what is under way at its next checkpoint, the traffic, and its server.
  ~Demo() override;

  [[nodiscard]] std::string conninfo() const;
  /// "200,000 users in a throwaway PostgreSQL in /tmp/…, 200 requests/s".
  [[nodiscard]] std::string description() const;
  [[nodiscard]] serve::PlannedMigration planned() const;
  /// What the page shows besides the journal.
  [[nodiscard]] serve::DemoPart part() const;
  Answer post(const std::string& name, const std::string& body) override;
  /// As the destructor. Gives what the application felt.
  std::string finish();

 private:
  class Impl;
  std::unique_ptr<Impl> m_impl;
};

}  // namespace ecmigrate::scene
