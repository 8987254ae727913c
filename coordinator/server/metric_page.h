// A page of metrics in the making: families in the terms of prometheus-cpp's data model, filled
// from plain numbers. Loop thread.
#pragma once

#include <prometheus/metric_family.h>

#include <span>
#include <string>
#include <vector>

#include "base/histogram.h"

namespace holdfast::server {

class MetricPage {
 public:
  using Labels = std::vector<prometheus::ClientMetric::Label>;

  /// Begins a family; what is added next belongs to it. Without anything added it is served with
  /// its help and type alone.
  void counter(const char* name, const char* help);
  void gauge(const char* name, const char* help);
  void histogram(const char* name, const char* help);

  void add(double value, Labels labels = {});
  void add(const DurationHistogram& durations, Labels labels = {});

  /// A family of one.
  template <class Number>
  void counter(const char* name, const char* help, Number value) {
    counter(name, help);
    add(static_cast<double>(value));
  }
  template <class Number>
  void gauge(const char* name, const char* help, Number value) {
    gauge(name, help);
    add(static_cast<double>(value));
  }

  /// The text format 0.0.4.
  std::string text() const;

 private:
  void begin(const char* name, const char* help, prometheus::MetricType type);
  std::vector<prometheus::MetricFamily> families_;
};

double to_seconds(Duration duration);

}  // namespace holdfast::server
