import { createRoute, lazyRouteComponent, type AnyRoute } from "@tanstack/react-router";

const page = lazyRouteComponent(() => import("./DataPage"), "DataPage");

/** Data: the tree alone, a schema, a table or view. */
export const dataRoutes = (root: AnyRoute): AnyRoute[] =>
  ["/data", "/data/$schema", "/data/$schema/$table"].map((path) =>
    createRoute({ getParentRoute: () => root, path, component: page }),
  );
