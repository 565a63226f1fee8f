// What `ecmigrate completion SHELL` prints, asked in the shells themselves.

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "support/catch.hpp"
#include "support/program.hpp"

using ecmigrate::test::output_of;

namespace {

/// A folder with the three scripts, two plans, a file that is none, and a folder; the shells run in it.
class Folder {
 public:
  Folder() {
    std::string name = std::filesystem::temp_directory_path() / "ecmigrate-completion-XXXXXX";
    REQUIRE(mkdtemp(name.data()) != nullptr);
    m_path = name;
    for (const char* file : {"rename.yaml", "split.yml", "notes.txt"}) {
      std::ofstream(m_path / file) << "\n";
    }
    std::filesystem::create_directory(m_path / "plans");
    for (const char* shell : {"bash", "zsh", "fish"}) {
      REQUIRE(run(fmt::format("'" ECMIGRATE_PROGRAM "' completion {0} >script.{0}", shell)).empty());
    }
  }
  ~Folder() { std::filesystem::remove_all(m_path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  /// What it prints, standard error too.
  [[nodiscard]] std::string run(const std::string& command) const {
    return output_of(fmt::format("cd '{}' && {}", m_path.string(), command));
  }

  void write(const std::string& name, const std::string& text) const { std::ofstream(m_path / name) << text; }

 private:
  std::filesystem::path m_path;
};

/// The first word of each line.
std::set<std::string> words_of(const std::string& text) {
  std::set<std::string> words;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    words.insert(line.substr(0, line.find('\t')));
  }
  return words;
}

using Words = std::set<std::string>;

/// The words of the line as bash splits it, the last of them the one to complete.
std::string in_bash(const Folder& folder, const std::string& words) {
  return folder.run(fmt::format(R"(bash --norc -c '
    . ./script.bash
    COMP_WORDS=({}) COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
    _ecmigrate
    [ ${{#COMPREPLY[@]}} = 0 ] || printf "%s\n" "${{COMPREPLY[@]}}"')",
                                words));
}

std::string in_fish(const Folder& folder, const std::string& line) {
  return folder.run(fmt::format(R"(XDG_CONFIG_HOME=$PWD/plans XDG_DATA_HOME=$PWD/plans fish --no-config -c '
    source script.fish
    complete -C "{}"')",
                                line));
}

}  // namespace

TEST_CASE("bash completes commands, flags, the values of a flag that has few, and plan files") {
  const Folder folder;
  CHECK(words_of(in_bash(folder, "ecmigrate exp")) == Words{"expand"});
  CHECK(words_of(in_bash(folder, "ecmigrate \"\"")).contains("contract"));
  CHECK(words_of(in_bash(folder, "ecmigrate -d shop re")) == Words{"resume"});
  CHECK(words_of(in_bash(folder, "ecmigrate -d run \"\"")).contains("contract"));
  CHECK(words_of(in_bash(folder, "ecmigrate backfill --max-w")) == Words{"--max-wal-rate", "--max-waiting-sessions"});
  CHECK(words_of(in_bash(folder, "ecmigrate expand --max-w")).empty());
  CHECK(words_of(in_bash(folder, "ecmigrate expand --jso")) == Words{"--json"});
  const Words phases{"expand", "backfill", "verify", "contract"};
  CHECK(words_of(in_bash(folder, "ecmigrate run --through \"\"")) == phases);
  CHECK(words_of(in_bash(folder, "ecmigrate run --through =")) == phases);
  CHECK(words_of(in_bash(folder, "ecmigrate run --through = con")) == Words{"contract"});
  CHECK(words_of(in_bash(folder, "ecmigrate run --lock-timeout \"\"")).empty());
  const Words plans{"rename.yaml", "split.yml", "plans"};
  CHECK(words_of(in_bash(folder, "ecmigrate expand \"\"")) == plans);
  CHECK(words_of(in_bash(folder, "ecmigrate run --through = verify --strict re")) == Words{"rename.yaml"});
  CHECK(words_of(in_bash(folder, "ecmigrate run --lock-timeout 1s spl")) == Words{"split.yml"});
  CHECK(words_of(in_bash(folder, "ecmigrate throttle split.yml \"\"")).empty());
  CHECK(words_of(in_bash(folder, "ecmigrate compare --out no")) == Words{"notes.txt"});
  CHECK(words_of(in_bash(folder, "ecmigrate demo --folder \"\"")) == Words{"plans"});
  CHECK(words_of(in_bash(folder, "ecmigrate completion \"\"")) == Words{"bash", "zsh", "fish"});
  CHECK(words_of(in_bash(folder, "ecmigrate help exp")) == Words{"expand"});
}

TEST_CASE("fish completes the same, and describes it") {
  const Folder folder;
  CHECK(in_fish(folder, "ecmigrate exp") == "expand\tAdd the new shape beside the old one, in brief locks\n");
  CHECK(words_of(in_fish(folder, "ecmigrate -d run re")) == Words{"resume"});
  CHECK(words_of(in_fish(folder, "ecmigrate backfill --max-w")) == Words{"--max-wal-rate", "--max-waiting-sessions"});
  CHECK(words_of(in_fish(folder, "ecmigrate expand --max-w")).empty());
  CHECK(words_of(in_fish(folder, "ecmigrate run --through ")) == Words{"expand", "backfill", "verify", "contract"});
  CHECK(words_of(in_fish(folder, "ecmigrate expand ")) == Words{"rename.yaml", "split.yml", "plans/"});
  CHECK(words_of(in_fish(folder, "ecmigrate completion ")) == Words{"bash", "zsh", "fish"});
  CHECK(words_of(in_fish(folder, "ecmigrate help exp")) == Words{"expand"});
}

TEST_CASE("zsh completes the same, on a terminal of its own") {
  const Folder folder;
  folder.write("ask", R"(
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'PS1= PS2=; stty -echo; setopt no_list_beep; autoload -Uz compinit; compinit -D -u'
zpty -w shell 'zstyle ":completion:*" menu no; . ./script.zsh'
zpty -w shell 'show() { print -r -- "<<$BUFFER>>"; BUFFER= }; zle -N show; bindkey "^G" show; print READY\!'
zpty -r shell said '*READY!*'
for line; do
  zpty -w -n shell "$line"$'\t\a'
  zpty -r shell said '*>>*'
  print -r -- "${${said##*<<}%%>>*}"
done
zpty -d shell
)");
  CHECK(folder.run("zsh -n script.zsh").empty());
  CHECK(folder.run("timeout 60 zsh -f ask 'ecmigrate exp' 'ecmigrate -d run res' 'ecmigrate backfill --max-wal' "
                   "'ecmigrate run --through con' 'ecmigrate expand ren' 'ecmigrate --json expand spl' "
                   "'ecmigrate help exp' 'ecmigrate completion z'") ==
        "ecmigrate expand \n"
        "ecmigrate -d run resume \n"
        "ecmigrate backfill --max-wal-rate=\n"
        "ecmigrate run --through contract \n"
        "ecmigrate expand rename.yaml \n"
        "ecmigrate --json expand split.yml \n"
        "ecmigrate help expand \n"
        "ecmigrate completion zsh \n");
}
