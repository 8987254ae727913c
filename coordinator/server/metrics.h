// What a server counts, as Prometheus text. The counters themselves belong to the loop's thread and
// are plain numbers; they are published here once a second.
#pragma once

#include <memory>
#include <string>

namespace holdfast::net {
struct LoopStats;
}  // namespace holdfast::net

namespace holdfast::server {

class Engine;
class Port;

class Metrics {
 public:
  Metrics();
  ~Metrics();
  /// Takes a reading. Loop thread.
  void publish(const Engine& engine, const Port& clients, const net::LoopStats& loop);
  /// The last reading in the text format 0.0.4.
  std::string text() const;

 private:
  struct Gauges;
  std::unique_ptr<Gauges> gauges_;
};

}  // namespace holdfast::server
