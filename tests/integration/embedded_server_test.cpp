#include "ecmigrate/scene/embedded_server.hpp"

#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "ecmigrate/base/error.hpp"
#include "support/catch.hpp"
#include "support/server.hpp"

namespace ecmigrate::test {

namespace {

namespace fs = std::filesystem;
using scene::EmbeddedServer;

/// A path in the test run's folder, where the user postgres may go; nothing is there yet.
fs::path new_folder(const std::string& name) {
  return fs::path(temporary_file("", ".x")).parent_path() / name;
}

/// Removes the server in any case, also of a test that fails.
struct Removed {
  explicit Removed(const fs::path& folder, std::vector<std::string> settings = {"fsync=off"})
      : server(folder, std::move(settings)) {}
  ~Removed() {
    try {
      server.remove();
    } catch (const std::exception&) {
      // What went wrong is told by the test.
    }
  }
  EmbeddedServer server;
};

std::string ask(const EmbeddedServer& server, const std::string& sql) {
  pg::Connection connection({server.conninfo("postgres"), "test", nullptr});
  return connection.query(sql).text(0, 0);
}

Error error_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return error;
  }
  return Error(Outcome::done, "no error");
}

}  // namespace

TEST_CASE("embedded server: starts, keeps what is in it over a stop, and leaves nothing when it is removed") {
  const fs::path folder = new_folder("emb one's");
  Removed removed(folder, {"shared_buffers=32MB", "fsync=off"});
  EmbeddedServer& server = removed.server;
  CHECK_FALSE(server.running());
  server.start();
  CHECK(server.running());
  CHECK(ask(server, "show shared_buffers") == "32MB");
  CHECK(ask(server, "show listen_addresses") == "");
  pg::Connection({server.conninfo("postgres"), "test", nullptr}).query("create table kept (id int)");
  server.start();  // runs already
  server.stop();
  CHECK_FALSE(server.running());
  server.start();
  CHECK(ask(server, "select count(*) from kept") == "0");
  server.remove();
  CHECK_FALSE(fs::exists(folder));
  server.remove();
}

TEST_CASE("embedded server: takes over what a crash left, but nothing that is in use or not its own") {
  const fs::path folder = new_folder("emb-two");
  Removed removed(folder);
  {
    EmbeddedServer server(folder, {"fsync=off"});
    server.start();
    const Error busy = error_of([&] { EmbeddedServer(folder).start(); });
    CHECK(busy.outcome() == Outcome::busy);
    CHECK(error_of([&] { EmbeddedServer(folder).remove(); }).outcome() == Outcome::busy);
  }
  // That process is gone as after a kill: its server still runs.
  CHECK(removed.server.running());
  removed.server.start();
  CHECK(ask(removed.server, "select 1") == "1");
  removed.server.stop();

  // And a cluster that is half made is made again.
  fs::rename(folder / "data", folder / "data.new");
  fs::remove(folder / "data.new/PG_VERSION");
  removed.server.start();
  CHECK(ask(removed.server, "select 1") == "1");
}

TEST_CASE("embedded server: a folder that it did not make is neither used nor deleted") {
  const fs::path folder = new_folder("emb-three");
  fs::create_directory(folder);
  std::ofstream(folder / "diary.txt") << "mine";
  EmbeddedServer server(folder);
  const Error refused = error_of([&] { server.start(); });
  CHECK(refused.outcome() == Outcome::usage);
  CHECK(std::string(refused.what()).find("was not made by ecmigrate") != std::string::npos);
  server.remove();
  CHECK(fs::exists(folder / "diary.txt"));
  fs::remove_all(folder);
  fs::create_symlink("/tmp", folder);
  CHECK(error_of([&] { server.start(); }).outcome() == Outcome::usage);
  fs::remove(folder);
  CHECK(error_of([&] { EmbeddedServer("relative").start(); }).outcome() == Outcome::usage);
  CHECK(error_of([&] { EmbeddedServer("/tmp/" + std::string(90, 'x')).start(); }).outcome() == Outcome::usage);
}

TEST_CASE("embedded server: what is missing, and what the server said, is in the error") {
  const fs::path folder = new_folder("emb-four");
  Removed removed(folder, {"shared_buffers=nonsense"});
  const Error broken = error_of([&] { removed.server.start(); });
  CHECK(broken.outcome() == Outcome::failed);
  CHECK(std::string(broken.what()).find("shared_buffers") != std::string::npos);
  removed.server.remove();

  const char* before = getenv("PG_BINDIR");
  const std::string kept = before == nullptr ? "" : before;
  setenv("PG_BINDIR", "/nowhere", 1);
  const Error missing = error_of([&] { removed.server.start(); });
  before == nullptr ? unsetenv("PG_BINDIR") : setenv("PG_BINDIR", kept.c_str(), 1);
  CHECK(std::string(missing.what()).find("/nowhere") != std::string::npos);
  CHECK_FALSE(fs::exists(folder));
}

TEST_CASE("embedded server: the sample users are the same whoever loads them, and as many as asked for", "[unicode]") {
  Database database;
  const auto session = database.connect();
  scene::load_users(*session, 250);
  CHECK(database.value("select count(*) || ' ' || max(id) || ' ' || max(created_at)::date from users") ==
        "250 250 2024-09-11");
  CHECK(database.rows("select conname from pg_constraint where conrelid = 'users'::regclass and contype in ('p', 'u') "
                      "order by 1") == "users_email_key\nusers_pkey");
}

}  // namespace ecmigrate::test
