#include "coordinator/server/metric_page.h"

#include <prometheus/text_serializer.h>

#include <limits>
#include <utility>

namespace holdfast::server {

using prometheus::ClientMetric;
using prometheus::MetricType;

double to_seconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::duration<double>>(duration).count();
}

void MetricPage::begin(const char* name, const char* help, MetricType type) {
  families_.push_back({name, help, type, {}});
}

void MetricPage::counter(const char* name, const char* help) {
  begin(name, help, MetricType::Counter);
}

void MetricPage::gauge(const char* name, const char* help) { begin(name, help, MetricType::Gauge); }

void MetricPage::histogram(const char* name, const char* help) {
  begin(name, help, MetricType::Histogram);
}

void MetricPage::add(double value, Labels labels) {
  ClientMetric metric;
  metric.label = std::move(labels);
  metric.counter.value = value;
  metric.gauge.value = value;
  families_.back().metric.push_back(std::move(metric));
}

void MetricPage::add(const DurationHistogram& durations, Labels labels) {
  ClientMetric metric;
  metric.label = std::move(labels);
  ClientMetric::Histogram& histogram = metric.histogram;
  for (size_t i = 0; i < durations.counts().size(); ++i) {
    histogram.sample_count += durations.counts()[i];
    const double bound = i < DurationHistogram::kBounds.size()
                             ? to_seconds(DurationHistogram::kBounds[i])
                             : std::numeric_limits<double>::infinity();
    histogram.bucket.push_back({histogram.sample_count, bound});
  }
  histogram.sample_sum = to_seconds(durations.sum());
  families_.back().metric.push_back(std::move(metric));
}

std::string MetricPage::text() const { return prometheus::TextSerializer().Serialize(families_); }

}  // namespace holdfast::server
