#pragma once

#include <yaml-cpp/yaml.h>
// After yaml.h, because it does not include what it needs.
#include <yaml-cpp/eventhandler.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "complaints.hpp"
#include "document.hpp"

namespace ecmigrate::planfile {

/// Whether a line begins with white space that has a tab in it.
bool has_tab_indent(std::string_view line);
/// Gives up over that.
[[noreturn]] void give_up_over_tab(Complaints& complaints, int line);

/// Turns yaml-cpp's marks, in bytes, into locations, in characters. Marks mostly come in order, so it counts on from
/// the last one: a plan may be one long line.
class Locator {
 public:
  explicit Locator(const Source& source) : m_source(source) {}

  Location operator()(const YAML::Mark& mark);

 private:
  const Source& m_source;
  int m_line = 0;
  std::size_t m_bytes = 0;
  int m_characters = 0;
};

/// Builds nodes from the parser's events. yaml-cpp's own tree will not do: it keeps no duplicate keys and forgets
/// where keys stand.
class Builder final : public YAML::EventHandler {
 public:
  Builder(const Source& source, Complaints& complaints)
      : m_source(source), m_complaints(complaints), m_locate(source) {}

  [[nodiscard]] Node take() { return std::move(m_root); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++m_documents > 1) {
      m_complaints.give_up(m_locate(mark), "a second document starts here", "Write one plan per file.");
    }
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override;
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override;
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override;
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override {
    open(mark, tag, anchor, style, Value::Kind::list);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override {
    open(mark, tag, anchor, style, Value::Kind::map);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Key {
    std::string text;
    Location at;
    bool usable = true;
  };
  struct Frame {
    Node node;
    YAML::anchor_t anchor = 0;
    bool block = false;      ///< laid out by indentation
    std::optional<Key> key;  ///< of the member whose value comes next
    std::map<std::string, Location> seen{};
  };

  Node start(const YAML::Mark& mark, const std::string& tag, Value::Kind kind);
  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YAML::EmitterStyle::value style,
            Value::Kind kind);
  void close();
  void put(Node node, YAML::anchor_t anchor);
  Key to_key(const Node& node, Frame& frame);
  void spend(std::size_t values, Location at);
  void check_closed(const YAML::Mark& mark, Location at) const;

  const Source& m_source;
  Complaints& m_complaints;
  Locator m_locate;
  std::vector<Frame> m_frames;
  std::map<YAML::anchor_t, Node> m_anchors;
  Node m_root;
  int m_documents = 0;
  std::size_t m_values = 0;
};

}  // namespace ecmigrate::planfile
