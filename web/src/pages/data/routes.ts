import { type AnyRoute, createRoute, lazyRouteComponent } from "@tanstack/react-router";

/** The routes of the Data page. */
export const dataRoutes = (root: AnyRoute): AnyRoute[] => [
  createRoute({
    getParentRoute: () => root,
    path: "/data",
    component: lazyRouteComponent(() => import("./DataPage"), "DataPage"),
  }),
];
