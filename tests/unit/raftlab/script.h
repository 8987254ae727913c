// Scripts of raftlab inside a test: lines in, lines out, and a node's status as JSON.
#pragma once

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "tests/raftlab/lab.h"

namespace holdfast::raftlab::testing {

class Script {
 public:
  /// What the lines print, all together.
  std::string run(std::initializer_list<std::string_view> lines) {
    std::string out;
    for (std::string_view line : lines) out += lab_.run(line);
    return out;
  }
  std::string run(std::string_view line) { return lab_.run(line); }

  nlohmann::json status(int id) {
    std::istringstream lines(lab_.run("status"));
    for (std::string line; std::getline(lines, line);) {
      nlohmann::json node = nlohmann::json::parse(line);
      if (node["id"] == id) return node;
    }
    return {};
  }
  /// "type index" of each message that a node has in flight.
  std::vector<std::string> sent(int id) {
    std::vector<std::string> all;
    const nlohmann::json node = status(id);
    for (const nlohmann::json& m : node["messages"]) {
      all.push_back(m["type"].get<std::string>() + " " + m["index"].dump());
    }
    return all;
  }
  Lab& lab() { return lab_; }
  /// Three nodes; 1 leads, its first entry is committed and told to all, nothing is in flight.
  void elect(std::string_view nodes = "nodes 1,2,3") {
    run({nodes, "campaign 1", "persist 1", "deliver 1 2", "persist 2", "deliver 2 1", "persist 1"});
    run({"drop 1 3 vote_request", "deliver 1 2", "deliver 1 3", "persist 2", "persist 3"});
    run({"deliver 2 1", "deliver 3 1", "deliver 1 2", "deliver 1 3"});
  }

 private:
  Lab lab_;
};

}  // namespace holdfast::raftlab::testing
