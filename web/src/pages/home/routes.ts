import { type AnyRoute, createRoute, lazyRouteComponent } from "@tanstack/react-router";

/** Home, and the way of own files into a table. */
export const homeRoutes = (root: AnyRoute): AnyRoute[] => [
  createRoute({
    getParentRoute: () => root,
    path: "/",
    component: lazyRouteComponent(() => import("./HomePage"), "HomePage"),
  }),
  createRoute({
    getParentRoute: () => root,
    path: "/import",
    component: lazyRouteComponent(() => import("./load/LoadPage"), "LoadPage"),
  }),
];
