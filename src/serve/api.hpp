#pragma once

#include "access.hpp"
#include "ecmigrate/serve/content.hpp"
#include "ecmigrate/serve/hub.hpp"
#include "routes.hpp"
#include "server_metrics.hpp"

namespace ecmigrate::serve {

/// /health, /metrics and /api/…, but for the stream and the demo.
void add_documents(Routes& routes, Content& content, const Access& access, const ServerMetrics& metrics);

/// /api/stream.
void add_stream(Routes& routes, Content& content, Hub& hub, ServerMetrics& metrics);

/// /api/demo/….
void add_controls(Routes& routes, Controls& controls);

/// The page and what it loads.
void add_page(Routes& routes);

}  // namespace ecmigrate::serve
