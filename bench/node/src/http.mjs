// A response to API Gateway (payload format 2.0), and the line that a request leaves in the log.

export function json(event, statusCode, body, headers = {}) {
  return {
    statusCode,
    headers: {
      "content-type": "application/json",
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      "x-request-id": event.requestContext.requestId,
      ...headers,
    },
    body: JSON.stringify(body),
  };
}

export function endpoint(handle) {
  return async (event) => {
    const started = performance.now();
    let response;
    try {
      response = await handle(event);
    } catch (error) {
      const status = error.status ?? 500;
      response = json(event, status, { title: error.message, status });
    }
    console.log(JSON.stringify({
      level: "INFO",
      requestId: event.requestContext.requestId,
      route: event.routeKey,
      status: response.statusCode,
      durationMs: Math.round(performance.now() - started),
    }));
    return response;
  };
}

export function failure(status, message) {
  return Object.assign(new Error(message), { status });
}
